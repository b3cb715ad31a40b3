package meshtest

import (
	"errors"
	"fmt"
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
	_, problem := m.post("stock-2", `{"lines":[{"sku":"matcha-bowl","quantity":1}]}`, http.StatusConflict)
	if problem["code"] != "conflict" {
		t.Errorf("sold out: %v", problem)
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

// stockTrace reports which services have no span of their own in a trace.
func (m *mesh) stockTrace(id string) (err error) {
	var spans []span
	if _, err := tryGet(m.t.Context(), m.state.Zipkin+"/api/v2/trace/"+id, &spans); err != nil {
		return err
	}
	for _, service := range []string{"edge", "gateway", "orders", "pricing", "inventory", "payments", "shipping"} {
		if !slices.ContainsFunc(spans, func(s span) bool { return s.Local.ServiceName == service }) {
			err = errors.Join(err, fmt.Errorf("no span of %s", service))
		}
	}
	return err
}
