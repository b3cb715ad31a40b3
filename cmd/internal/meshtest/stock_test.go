package meshtest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestStock: the shop with go-kit's own rings sells, is traced and counted, and
// takes the faults that experiments inject.
func TestStock(t *testing.T) {
	m := up(t, "stock", "--stack", "stock", "--instances", "1", "--rate", "0", "--zipkin", "embedded")
	if s := m.status(); s.Stack != "stock" {
		t.Errorf("status says the stack is %q", s.Stack)
	}
	resp, order := m.order("stock-1", http.StatusCreated)
	if order["status"] != "confirmed" || order["trace_id"] != resp.Header.Get("X-Trace-Id") {
		t.Errorf("%v with X-Trace-Id %q", order, resp.Header.Get("X-Trace-Id"))
	}
	if tries := resp.Header.Get("X-Kitmesh-Tries"); tries != "" {
		t.Errorf("the front door counts %s tries: it is the mesh's own", tries)
	}
	for _, c := range m.checks() {
		if c.Type != "http" {
			t.Errorf("%s has a %s check: it registered as the mesh does", c.ServiceID, c.Type)
		}
	}
	_, problem := m.post("stock-2", `{"lines":[{"sku":"matcha-bowl","quantity":1}]}`, http.StatusConflict)
	if problem["code"] != "conflict" {
		t.Errorf("sold out: %v", problem)
	}
	if r := m.knownTo("gateway", "pricing"); len(r.Members) != 1 || r.Members[0].ID != r.Members[0].Addr {
		t.Errorf("the gateway's ring is not stock, which knows instances by address only: %+v", r)
	}
	c := m.counters("pricing")
	if c.requests == 0 || c.picks[m.address("pricing-1")] == 0 {
		t.Errorf("the calls of pricing are not counted: %+v", c)
	}
	eventually(t, 10*time.Second, "the order's trace has every service", func() error { return m.stockTrace(order["trace_id"].(string)) })

	m.run("fail", "pricing", "--rate", "1")
	var page struct{ Partial []string }
	get(t, m.state.Gateway+"/v1/products/tea-sencha-100", &page)
	if !slices.Contains(page.Partial, "price") {
		t.Errorf("pricing fails, and the page lacks only %q", page.Partial)
	}
}

// check is how Consul finds out about an instance.
type check struct{ ServiceID, Type string }

func (m *mesh) checks() []check {
	m.t.Helper()
	byID := map[string]check{}
	get(m.t, m.state.Consul+"/v1/agent/checks", &byID)
	if len(byID) < 7 {
		m.t.Errorf("%d checks, want one of each service", len(byID))
	}
	return slices.Collect(maps.Values(byID))
}

// stockTrace reports which services have no span of their own in a trace.
func (m *mesh) stockTrace(id string) (err error) {
	var spans []struct {
		LocalEndpoint struct{ ServiceName string }
	}
	if _, err := tryGet(m.t.Context(), m.state.Zipkin+"/api/v2/trace/"+id, &spans); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, s := range spans {
		names[s.LocalEndpoint.ServiceName] = true
	}
	for _, service := range []string{"edge", "gateway", "orders", "pricing", "inventory", "payments", "shipping"} {
		if !names[service] {
			err = errors.Join(err, fmt.Errorf("no span of %s", service))
		}
	}
	return err
}
