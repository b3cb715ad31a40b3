package meshtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// Each service of TestOverload's shop does this work for a request, asleep, so
// that its capacity is known on any machine that has the time to wake it.
const (
	overloadWork      = 20 * time.Millisecond
	overloadWorkers   = 2
	overloadInstances = 2
	// Of the mix, 90 % pages and 10 % orders, a request asks pricing 1.91 times: a
	// product page once itself and once through shipping, a listing (a tenth of
	// the pages) once, an order twice. Pricing is asked most: it is what is full.
	overloadMix      = "browse=90,checkout=10"
	quotesPerRequest = .9*(.9*2+.1) + .1*2
)

// capacity is how many requests of the mix the shop can do in a second: 105.
var capacity = overloadInstances * overloadWorkers / overloadWork.Seconds() / quotesPerRequest

// overloadResult is what kitmesh load says of the customers' kinds.
type overloadResult struct {
	loadResult
	Late int `json:"late"`
	ByOp map[string]struct {
		loadResult
		Partial int `json:"partial"`
		Served  struct {
			P99 float64 `json:"p99_ms"`
		} `json:"served"`
	} `json:"by_op"`
}

// TestOverload sends three times as many customers as the shop can serve: orders
// are served, pages take what is left, and as soon as it is over nobody notices
// that it was. It measures times: make test-overload runs it on a quiet machine.
func TestOverload(t *testing.T) {
	if os.Getenv("KITMESH_TEST_OVERLOAD") == "" {
		t.Skip("needs a machine with nothing else to do: make test-overload")
	}
	m := up(t, "overload", "--rate", "0", "--sample", "0", "--zipkin", "embedded", "--instances", fmt.Sprint(overloadInstances),
		"--work", overloadWork.String(), "--workers", fmt.Sprint(overloadWorkers))
	send := func(times float64, d time.Duration, warmup time.Duration) (r overloadResult) {
		out := m.run("load", "--rate", fmt.Sprintf("%.0f", times*capacity), "--duration", d.String(), "--warmup", warmup.String(),
			"--arrivals", "poisson", "--mix", overloadMix, "--checkout-deadline", "5s", "-o", "json")
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("load -o json: %v\n%s", err, out)
		}
		for op, s := range r.ByOp {
			t.Logf("%.1fx, %s: %d requests, %.2f %% served, %d of them partial, p99 of the served %.0f ms; failures %v",
				times, op, s.Requests, 100*s.Success, s.Partial, s.Served.P99, s.Failures)
		}
		return r
	}
	send(.6, 5*time.Second, 0) // connections, caches, baselines
	before := send(.6, 15*time.Second, 0)
	during := send(3, 30*time.Second, 0)
	after := send(.6, 15*time.Second, 2*time.Second)
	m.logLimits()

	served := during.Success * float64(during.Requests)
	goodput := served / 30 / capacity
	t.Logf("capacity %.0f/s, goodput at 3x %.0f %%, of it whole %.0f %%", capacity, 100*goodput,
		100*(served-float64(during.ByOp["browse"].Partial))/30/capacity)
	if before.Success != 1 || after.Success != 1 {
		t.Errorf("at 0.6x %.4f are served before, %.4f after", before.Success, after.Success)
	}
	if goodput < .95 {
		t.Errorf("goodput %.3f of the capacity", goodput)
	}
	if late := float64(during.Late) / float64(during.Requests); late > .05 {
		t.Logf("the machine is too busy to judge: %.0f %% of the requests were sent late", 100*late)
	}
	if orders := during.ByOp["checkout"]; orders.Success < .999 {
		t.Errorf("orders: %.4f served; they alone fit", orders.Success)
	}
	for op, was := range before.ByOp {
		if now := during.ByOp[op].Served.P99; now > 4*was.Served.P99 {
			t.Errorf("%s: p99 of the served %.0f ms at 3x, %.0f ms before", op, now, was.Served.P99)
		}
		if now := after.ByOp[op].Served.P99; now > 1.5*was.Served.P99 {
			t.Errorf("%s: p99 %.0f ms two seconds after, %.0f ms before", op, now, was.Served.P99)
		}
	}
	m.noBreakerOpen()
}

// logLimits says where each instance's limit is and how many it refused.
func (m *mesh) logLimits() {
	for _, i := range m.state.Instances {
		var r struct {
			Limit float64        `json:"limit"`
			Shed  map[string]int `json:"shed"`
		}
		if _, err := tryGet(m.t.Context(), i.Admin+"/limit", &r); err != nil {
			m.t.Errorf("%s: %v", i.ID, err)
			continue
		}
		m.t.Logf("%s: limit %.1f, shed %v", i.ID, r.Limit, r.Shed)
	}
}

// noBreakerOpen fails when anybody gave up on an instance that only refused.
func (m *mesh) noBreakerOpen() {
	for _, i := range m.state.Instances {
		var page any
		resp, err := tryGet(m.t.Context(), i.Admin+"/mesh", &page)
		if err != nil || resp.StatusCode != http.StatusOK {
			m.t.Errorf("%s: %v", i.ID, err)
			continue
		}
		for _, breaker := range find(page, "breaker") {
			if state, ok := breaker.(string); ok && state != "closed" {
				m.t.Errorf("%s has a breaker that is %v", i.ID, breaker)
			}
		}
	}
}

// find returns the values of a key, wherever in a JSON document.
func find(v any, key string) (found []any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if k == key {
				found = append(found, inner)
				continue
			}
			found = append(found, find(inner, key)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, find(inner, key)...)
		}
	}
	return found
}
