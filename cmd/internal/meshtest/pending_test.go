package meshtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPendingOrder buys where the card provider takes longer than a customer is
// kept waiting: the answer is 202 with the order's URL, and the order goes on. It
// also keeps every promise about keys meanwhile.
func TestPendingOrder(t *testing.T) {
	m := up(t, "pending", "--rate", "0", "--instances", "2", "--provider", "latency=1900ms")
	t.Run("the order goes on after 202", func(t *testing.T) {
		sub := *m
		sub.t = t
		sub.testPending()
	})
	t.Run("a key at work", func(t *testing.T) {
		sub := *m
		sub.t = t
		sub.testKeyAtWork()
	})
	if out, err := m.try("audit", "-o", "json", "--patience", "30s"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const (
	twoSencha   = `{"lines":[{"sku":"tea-sencha-100","quantity":2}]}`
	threeSencha = `{"lines":[{"sku":"tea-sencha-100","quantity":3}]}`
)

func (m *mesh) testPending() {
	t := m.t
	began := time.Now()
	resp, order := m.post("slow-1", twoSencha, http.StatusAccepted)
	t.Logf("202 after %v", time.Since(began).Round(time.Millisecond))
	location := resp.Header.Get("Location")
	if order["status"] != "pending" || location != fmt.Sprint("/v1/orders/", order["id"]) || order["trace_id"] != resp.Header.Get("X-Trace-Id") {
		t.Errorf("%v at %q, trace %q", order, location, resp.Header.Get("X-Trace-Id"))
	}
	// Asked again it is the same order; whether it is done by then is a race.
	again := m.answer("slow-1", twoSencha)
	if again.status != http.StatusAccepted && again.status != http.StatusCreated || again.order["id"] != order["id"] {
		t.Errorf("asked again: %d %v", again.status, again.order)
	}
	if refused := m.answer("slow-1", threeSencha); refused.status != http.StatusUnprocessableEntity || refused.order["code"] != "key_reused" {
		t.Errorf("with another body: %d %v", refused.status, refused.order)
	}
	var found map[string]any
	eventually(t, 30*time.Second, "the order is confirmed", func() error {
		if resp := get(t, m.state.Gateway+location, &found); resp.StatusCode != http.StatusOK || found["status"] != "confirmed" {
			return fmt.Errorf("%d %v", resp.StatusCode, found["status"])
		}
		return nil
	})
	if _, last := m.post("slow-1", twoSencha, http.StatusCreated); !same(last, found) {
		t.Errorf("the key is answered with %v, the order is %v", last, found)
	}
}

// testKeyAtWork sends one key several times at once.
func (m *mesh) testKeyAtWork() {
	t := m.t
	const customers = 4
	answers := make(chan answer, customers)
	for range customers {
		go func() { answers <- m.answer("at-once", twoSencha) }()
	}
	ids := map[any]int{}
	for range customers {
		a := <-answers
		if a.status != http.StatusAccepted && a.status != http.StatusCreated {
			t.Errorf("%d %v %v", a.status, a.order, a.err)
		}
		ids[a.order["id"]]++
	}
	if len(ids) != 1 {
		t.Errorf("one key has the orders %v", ids)
	}
	if refused := m.answer("at-once", threeSencha); refused.status != http.StatusUnprocessableEntity {
		t.Errorf("with another body: %d %v", refused.status, refused.order)
	}
}

// answer is what a customer got.
type answer struct {
	status int
	order  map[string]any
	err    error
}

func (m *mesh) answer(key, body string) (a answer) {
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.state.Gateway+"/v1/orders", strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := do(req, &a.order)
	if err != nil {
		return answer{err: err}
	}
	a.status = resp.StatusCode
	return a
}

// same compares two answers as JSON.
func same(a, b map[string]any) bool {
	x, _ := json.Marshal(a) // came from JSON
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}
