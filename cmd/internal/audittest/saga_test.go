package audittest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// kind is an order that ends in one of the ways a saga has.
type kind struct {
	name     string
	body     string
	declined bool
	status   int    // of the final answer
	end      string // of the order
	steps    int    // at least; fewer would mean that the patch misses some
	programs int    // that make them
}

var kinds = []kind{
	{"confirmed", `{"lines":[{"sku":"tea-sencha-100","quantity":2},{"sku":"tea-sencha-250","quantity":1}]}`, false, http.StatusCreated, "confirmed", 38, 5},
	{"refused", `{"lines":[{"sku":"tea-sencha-100","quantity":1},{"sku":"air-press","quantity":1}]}`, false, http.StatusConflict, "cancelled", 36, 5},
	{"declined", `{"lines":[{"sku":"tea-sencha-100","quantity":1}]}`, true, http.StatusPaymentRequired, "cancelled", 26, 4},
	{"sold-out", `{"lines":[{"sku":"apron-linen","quantity":1},{"sku":"matcha-bowl","quantity":1}]}`, false, http.StatusConflict, "cancelled", 14, 3},
}

const (
	declineRate = 0.3
	orderEnds   = 30 * time.Second // of an order that somebody died over
	// In a quick run every n-th step is died at, and only in the first two kinds.
	quickStride, quickKinds = 7, 2
)

// TestKilledAtEveryStep runs the shop as processes that die at a chosen step:
// orders, payments, inventory, shipping and the gateway, before and after each
// call, write and payment of an order, forward and backward. Each order must end
// as if nobody had died, and the audit find nothing.
//
// KITMESH_TEST_SAGA=quick chooses some of the steps, any other value all.
func TestKilledAtEveryStep(t *testing.T) {
	mode := os.Getenv("KITMESH_TEST_SAGA")
	if mode == "" {
		t.Skip("starts a whole mesh: make test-saga")
	}
	stride, instances := 1, 3
	chosen := kinds
	if mode == "quick" {
		stride, instances, chosen = quickStride, 2, kinds[:quickKinds]
	}
	s := newSaga(t, instances)
	for _, kind := range chosen {
		victims := map[string]int{}
		last := 0 // step of the kind that somebody died at
		for at := 1; ; at += stride {
			step, died := s.run(kind, at)
			if !died {
				break
			}
			last = at
			program, _, _ := strings.Cut(step, " ")
			victims[program]++
		}
		t.Logf("%s: the last step died at was the %d.; victims %v", kind.name, last, victims)
		if last < kind.steps-stride || stride == 1 && len(victims) < kind.programs {
			t.Errorf("%s: died at step %d at last, at %v", kind.name, last, victims)
		}
	}
	s.audit()
	t.Logf("%d orders; the slowest ended %v after it was placed", s.orders, s.slowest.Round(time.Millisecond))
}

// saga is a mesh whose processes die where a file says.
type saga struct {
	*mesh
	state     runner.State
	instances int
	steps     string // the file
	orders    int
	slowest   time.Duration
}

// newSaga builds the programs that keep or move an order's state with die.patch
// and starts a mesh of them.
func newSaga(t *testing.T, instances int) *saga {
	t.Helper()
	bin := programs(t)
	mortal := []string{"orders", "payments", "inventory", "shipping", "gateway"}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", bin + "/"}
	for _, name := range mortal {
		must(t, os.Remove(filepath.Join(bin, name)))
		args = append(args, "../../"+name)
	}
	build(t, "testdata/saga/die.patch", args...)
	s := &saga{instances: instances, steps: filepath.Join(t.TempDir(), "steps")}
	t.Setenv("KITMESH_TEST_STEPS", s.steps)
	s.mesh = startMesh(t, bin, &s.state, "--instances", strconv.Itoa(instances), "--provider", fmt.Sprintf("latency=1ms,decline-rate=%v", declineRate))
	return s
}

// run places an order while its at-th step kills whoever makes it, and sees it
// through to its end. It returns the step, or that the order has fewer.
func (s *saga) run(k kind, at int) (step string, died bool) {
	s.t.Helper()
	key := k.key(at)
	id := orderID(key)
	s.everybody()
	must(s.t, os.WriteFile(s.steps, []byte(strconv.Itoa(at)+"\n"), 0o600))
	began := time.Now()
	if got := s.place(key, k.body, id); got != k.status {
		s.t.Errorf("%s: answered %d, want %d", key, got, k.status)
	}
	s.await(key+" ends "+k.end, func() error {
		var o struct{ Status any } // of an order or of a problem
		_, err := s.ask(http.MethodGet, "/v1/orders/"+id, "", "", &o)
		if err == nil && o.Status != k.end {
			err = fmt.Errorf("it is %v", o.Status)
		}
		return err
	})
	s.slowest = max(s.slowest, time.Since(began))
	step, died = s.dead(at)
	must(s.t, os.Remove(s.steps))
	if got := s.place(key, k.body, id); got != k.status {
		s.t.Errorf("%s: answered %d when it was repeated, want %d", key, got, k.status)
	}
	s.orders++
	return step, died
}

// key is a fresh key whose order's card is declined, or not, as k wants it.
func (k kind) key(at int) string {
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s-%d-%d", k.name, at, n)
		if chance(orderID(key)) < declineRate == k.declined {
			return key
		}
	}
}

// place sends an order as a customer does: again, under the same key, while
// nobody can tell him what became of it. It returns the final answer's status.
func (s *saga) place(key, body, id string) (status int) {
	s.t.Helper()
	s.await("an answer to "+key, func() error {
		var answer struct{ ID, Detail string }
		got, err := s.ask(http.MethodPost, "/v1/orders", key, body, &answer)
		switch {
		case err != nil:
			return err
		case got/100 == 2 && answer.ID != id:
			s.t.Fatalf("%s: %d with the order %s, want %s", key, got, answer.ID, id)
		case got == http.StatusAccepted || got >= 500 || got == http.StatusTooManyRequests:
			return fmt.Errorf("%d %s", got, answer.Detail)
		}
		status = got
		return nil
	})
	return status
}

// ask makes one request and decodes its answer.
func (s *saga) ask(method, path, key, body string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.state.Gateway+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, json.Unmarshal(text, v)
}

// await polls until check returns nil, as long as an order may take.
func (s *saga) await(what string, check func() error) {
	s.t.Helper()
	for deadline := time.Now().Add(orderEnds); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			steps := s.made()
			s.t.Fatalf("%s: not within %v: %v; the last of %d steps: %q", what, orderEnds, err, len(steps), steps[max(0, len(steps)-20):])
		}
	}
}

// everybody returns when all instances are in Consul again.
func (s *saga) everybody() {
	s.t.Helper()
	s.await("all instances", func() error {
		resp, err := http.Get(s.state.Consul + "/v1/health/state/passing")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var checks []struct{ ServiceName string }
		if err := json.NewDecoder(resp.Body).Decode(&checks); err != nil {
			return err
		}
		n := map[string]int{}
		for _, c := range checks {
			n[c.ServiceName]++
		}
		for _, service := range runner.Services {
			if n[service] != s.instances {
				return fmt.Errorf("%d of %s", n[service], service)
			}
		}
		return nil
	})
}

// made returns the steps so far: who made each, and which it was.
func (s *saga) made() (steps []string) {
	text, _ := os.ReadFile(s.steps) // none while no order is watched
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n"))[1:] {
		_, step, _ := strings.Cut(string(line), " ")
		steps = append(steps, step)
	}
	return steps
}

// dead returns when the process of the at-th step has died there, or when there
// are no more steps: the parcel is handed over behind the customer's back.
func (s *saga) dead(at int) (step string, died bool) {
	s.t.Helper()
	const quiet = 1500 * time.Millisecond
	lines, since := 0, time.Now()
	s.await(fmt.Sprintf("a death at step %d", at), func() error {
		text, err := os.ReadFile(s.steps)
		if err != nil {
			return err
		}
		made := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(made) <= at {
			if len(made) != lines {
				lines, since = len(made), time.Now()
			}
			if time.Since(since) > quiet {
				return nil
			}
			return fmt.Errorf("only %d steps so far", len(made)-1)
		}
		var pid string
		pid, step, died = strings.Cut(made[at], " ")
		n, err := strconv.Atoi(pid)
		if err == nil && syscall.Kill(n, 0) == nil {
			err = fmt.Errorf("the process of %q is alive", step)
		}
		return err
	})
	return step, died
}

// audit expects no violation in the orders that were placed.
func (s *saga) audit() {
	s.t.Helper()
	out, err := s.try("audit", "-o", "json", "--patience", orderEnds.String())
	var r audit.Report
	if e := json.Unmarshal(out, &r); e != nil {
		s.t.Fatalf("%v: %v\n%s", e, err, out)
	}
	if err != nil || !r.Held() {
		_ = r.WriteText(s.t.Output())
		s.t.Errorf("%d violations: %v", r.Violations, err)
	}
	if r.Orders != s.orders {
		s.t.Errorf("%d orders were audited, %d were placed", r.Orders, s.orders)
	}
}

// orderID is the id that orders gives to the order of a key.
func orderID(key string) string {
	sum := sha256.Sum256([]byte("order\x00" + key))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15]))
}

// chance is what the provider compares with its decline rate.
func chance(id string) float64 {
	sum := sha256.Sum256([]byte("decline\x00" + id + "/authorise"))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}
