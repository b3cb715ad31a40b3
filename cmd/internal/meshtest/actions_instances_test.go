package meshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

// letter is the state of a process: R, S, T ...
func letter(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func (h *hurt) testPause() {
	r, victims := h.begin(action.Spec{Action: "pause", Target: "v"}, aCatalog)
	victim := h.instance(victims[0])
	if got := letter(victim.PID); got != "T" || victim.Status != "paused" {
		h.t.Errorf("the process is in state %s, the mesh says %s", got, victim.Status)
	}
	if _, err := h.lab.Start(h.t.Context(), action.Spec{Action: "kill", Target: "v"}, aCatalog, 1, nil); err == nil {
		h.t.Error("the last healthy instance was killed")
	}
	eventually(h.t, 10*time.Second, "Consul gives it up", func() error { return h.wantPassing("catalog", 1) })
	before := h.counters("catalog")
	for range 30 {
		var page map[string]any
		if resp, err := tryGet(h.t.Context(), h.state.Gateway+"/v1/products?page_size=1", &page); err != nil || resp.StatusCode != http.StatusOK {
			h.t.Fatalf("a customer noticed: %v %v", resp, err)
		}
	}
	if share := h.counters("catalog").share(before, victim.RPC); share > 0.1 {
		h.t.Errorf("%.0f %% of the tries went to the frozen instance", 100*share)
	}
	h.stop(r)
	if got := letter(victim.PID); got == "T" {
		h.t.Error("it is still stopped")
	}
}

func (h *hurt) testKill() {
	old := h.instance("catalog-1").PID + h.instance("catalog-2").PID
	r, victims := h.begin(action.Spec{Action: "kill", Target: "v", RestartAfter: time.Hour}, aCatalog)
	if got := h.instance(victims[0]); got.Status != "stopped" || got.PID != 0 {
		h.t.Errorf("%+v, want it kept down", got)
	}
	h.stop(r)
	if got := h.instance(victims[0]); got.Status != "running" {
		h.t.Errorf("%+v, want it running", got)
	}
	if h.instance("catalog-1").PID+h.instance("catalog-2").PID == old {
		h.t.Error("nobody died")
	}
	h.well()
	pids := map[string]int{"orders-1": h.instance("orders-1").PID, "orders-2": h.instance("orders-2").PID}
	r, victims = h.begin(action.Spec{Action: "restart", Target: "v"}, action.Target{Service: "orders"})
	h.stop(r)
	for id, pid := range pids {
		if restarted := h.instance(id).PID != pid; restarted != (id == victims[0]) {
			h.t.Errorf("%s restarted: %v", id, restarted)
		}
	}
}

// ask makes one request to an instance's own REST API and returns how long it
// took and its status.
func (h *hurt) ask(id string) (time.Duration, int) {
	h.t.Helper()
	began := time.Now()
	req, _ := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.instance(id).Admin+"/v1/products?page_size=1", http.NoBody)
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return time.Since(began), resp.StatusCode
}

// quickest of several requests: a busy machine only makes them slower.
func (h *hurt) quickest(id string) time.Duration {
	best := time.Hour
	for range 10 {
		took, _ := h.ask(id)
		best = min(best, took)
	}
	return best
}

func (h *hurt) testSlow() {
	r, victims := h.begin(action.Spec{Action: "slow", Target: "v", Latency: 60 * time.Millisecond}, aCatalog)
	if took := h.quickest(victims[0]); took < 60*time.Millisecond {
		h.t.Errorf("the slow one answers in %v", took)
	}
	h.stop(r)
	if took := h.quickest(victims[0]); took >= 60*time.Millisecond {
		h.t.Errorf("afterwards it answers in %v", took)
	}
}

func (h *hurt) failures(id string) (failed int) {
	for range 100 {
		if _, status := h.ask(id); status == http.StatusServiceUnavailable {
			failed++
		}
	}
	return failed
}

func (h *hurt) testFail() {
	r, victims := h.begin(action.Spec{Action: "fail", Target: "v", Rate: 0.5}, aCatalog)
	if n := h.failures(victims[0]); n < 25 || n > 75 {
		h.t.Errorf("%d of 100 requests failed, want half", n)
	}
	h.stop(r)
	if n := h.failures(victims[0]); n != 0 {
		h.t.Errorf("afterwards %d of 100 fail", n)
	}
}

// processorTime is what a process has used so far.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (h *hurt) testBurn() {
	r, victims := h.begin(action.Spec{Action: "burn", Target: "v", Workers: 1}, aCatalog)
	pid := h.instance(victims[0]).PID
	before := processorTime(h.t, pid)
	eventually(h.t, 30*time.Second, "300 ms burnt", func() error {
		if used := processorTime(h.t, pid) - before; used < 300*time.Millisecond {
			return fmt.Errorf("%v", used)
		}
		return nil
	})
	h.stop(r)
	if f, err := h.fleet.FaultsOf(h.t.Context(), victims[0]); err != nil || f.Burn != 0 {
		h.t.Errorf("%+v %v", f, err)
	}
}

func (h *hurt) testAskedFault() {
	page := func(header string) time.Duration {
		req, _ := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.state.Gateway+"/v1/products/tea-sencha-100", http.NoBody)
		req.Header.Set("X-Kitmesh-Fault", header)
		began := time.Now()
		var answer map[string]any
		if _, err := do(req, &answer); err != nil {
			h.t.Fatal(err)
		}
		return time.Since(began)
	}
	page("")
	if with, without := page("service=catalog,latency=400ms"), page(""); with < 300*time.Millisecond || without > with {
		h.t.Errorf("with the header %v, without %v", with, without)
	}
}

func (h *hurt) testScale() {
	r, _ := h.begin(action.Spec{Action: "scale", Target: "v", Instances: 3}, aCatalog)
	eventually(h.t, 20*time.Second, "three are there", func() error { return h.wantPassing("catalog", 3) })
	h.stop(r)
	eventually(h.t, 20*time.Second, "two are there", func() error { return h.wantPassing("catalog", 2) })
}

func (h *hurt) testCanary() {
	ctx, over := context.WithCancel(h.t.Context())
	customers := make(chan struct{})
	go func() {
		defer close(customers)
		for ctx.Err() == nil {
			_, _ = tryGet(ctx, h.state.Gateway+"/v1/products/tea-sencha-100", new(map[string]any))
		}
	}()
	defer func() {
		over()
		<-customers
	}()
	versions := func() string {
		var entries []struct {
			Service struct{ Meta map[string]string }
		}
		if _, err := tryGet(h.t.Context(), h.state.Consul+"/v1/health/service/catalog?passing", &entries); err != nil {
			return err.Error()
		}
		var all []string
		for _, e := range entries {
			all = append(all, e.Service.Meta["version"])
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	r, _ := h.begin(action.Spec{Action: "canary", Target: "v", Version: "v2", Rate: 0.5}, aCatalog)
	eventually(h.t, 20*time.Second, "the canary is in Consul", func() error {
		if got := versions(); got != "v1 v1 v2" {
			return errors.New(got)
		}
		return nil
	})
	select {
	case <-r.Done():
	case <-time.After(30 * time.Second):
		h.t.Fatal("it is not rolled back")
	}
	if got := versions(); got != "v1 v1" {
		h.t.Errorf("Consul has %s", got)
	}
	h.stop(r)
}

func (h *hurt) testRolling() {
	pids := []int{h.instance("shipping-1").PID, h.instance("shipping-2").PID}
	r, _ := h.begin(action.Spec{Action: "rolling-restart", Target: "v"}, action.Target{Service: "shipping", MinHealthy: 1})
	select {
	case <-r.Done():
	case <-time.After(time.Minute):
		h.t.Fatal("it does not end")
	}
	if slices.Contains(pids, h.instance("shipping-1").PID) || slices.Contains(pids, h.instance("shipping-2").PID) {
		h.t.Error("not everybody was restarted")
	}
	h.stop(r)
}
