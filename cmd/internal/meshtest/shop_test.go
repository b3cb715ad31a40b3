package meshtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestMesh starts one mesh, buys in it and hurts it.
func TestMesh(t *testing.T) {
	m := up(t, "whole", "--rate", "5")
	step := func(name string, test func(*mesh)) {
		t.Run(name, func(t *testing.T) {
			sub := *m
			sub.t = t
			test(&sub)
		})
	}
	step("registers 7 services × 3", func(m *mesh) {
		if err := m.allPassing(3); err != nil {
			m.t.Fatal(err)
		}
	})
	step("fits in memory", (*mesh).testMemory)
	step("takes an order once", (*mesh).testOrder)
	step("traces every hop", (*mesh).testTrace)
	for _, service := range []string{"catalog", "pricing", "inventory", "orders", "payments", "shipping", "gateway"} {
		step("survives kills of "+service, func(m *mesh) {
			m.underLoad(func(ctx context.Context) {
				every(ctx, 2*time.Second, func() { m.run("kill", service) })
			})
		})
	}
	step("survives frozen instances", func(m *mesh) {
		m.underLoad(func(ctx context.Context) {
			for _, instance := range []string{"pricing/1", "orders/2", "gateway/3"} {
				m.run("pause", instance)
				defer m.run("resume", instance)
			}
			eventually(m.t, 10*time.Second, "Consul gives the frozen ones up", func() error {
				return errors.Join(m.wantPassing("pricing", 2), m.wantPassing("orders", 2), m.wantPassing("gateway", 2))
			})
			<-ctx.Done()
		})
	})
	step("survives Consul's loss", (*mesh).testConsulLoss)
	step("survives Zipkin's loss", func(m *mesh) {
		m.underLoad(func(context.Context) { m.run("kill", "zipkin", "--down-for", "4s") })
	})
}

func (m *mesh) testMemory() {
	s := m.status()
	var sum int64
	for _, i := range s.Instances {
		sum += i.RSSBytes
	}
	for _, p := range s.Parts {
		if p.Name == "broker" || p.Name == "consul" {
			sum += p.RSSBytes
		}
	}
	m.t.Logf("%d instances, the broker and Consul take %d MB", len(s.Instances), sum>>20)
	if sum == 0 || sum > 1<<30 {
		m.t.Errorf("%d bytes, want at most 1 GB and more than nothing", sum)
	}
}

// order places an order for one sencha under key and returns the answer.
func (m *mesh) order(key string, want int) (*http.Response, map[string]any) {
	m.t.Helper()
	return m.post(key, `{"lines":[{"sku":"tea-sencha-100","quantity":2}]}`, want)
}

func (m *mesh) post(key, body string, want int) (*http.Response, map[string]any) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.state.Gateway+"/v1/orders", strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	var answer map[string]any
	resp, err := do(req, &answer)
	if err != nil {
		m.t.Fatal(err)
	}
	if resp.StatusCode != want {
		m.t.Fatalf("POST /v1/orders: %d %v, want %d", resp.StatusCode, answer, want)
	}
	return resp, answer
}

func (m *mesh) testOrder() {
	t := m.t
	resp, order := m.order("once-1", http.StatusCreated)
	if order["status"] != "confirmed" || order["id"] == "" || order["trace_id"] != resp.Header.Get("X-Trace-Id") {
		t.Errorf("%v with X-Trace-Id %q", order, resp.Header.Get("X-Trace-Id"))
	}
	var found map[string]any
	get(t, m.state.Gateway+resp.Header.Get("Location"), &found)
	if found["id"] != order["id"] || found["status"] != "confirmed" {
		t.Errorf("Location shows %v", found)
	}
	if _, again := m.order("once-1", http.StatusCreated); again["id"] != order["id"] || again["trace_id"] != order["trace_id"] {
		t.Errorf("repeated: %v, want %v", again, order)
	}
	for _, c := range []struct {
		name, key, body string
		status          int
		code            string
	}{
		{"another body", "once-1", `{"lines":[{"sku":"tea-sencha-100","quantity":3}]}`, 422, "key_reused"},
		{"no key", "", `{"lines":[{"sku":"tea-sencha-100","quantity":1}]}`, 400, "invalid"},
		{"unknown SKU", "bad-1", `{"lines":[{"sku":"no-such-thing","quantity":1}]}`, 404, "not_found"},
		{"zero", "bad-2", `{"lines":[{"sku":"tea-sencha-100","quantity":0}]}`, 400, "invalid"},
		{"sold out", "bad-3", `{"lines":[{"sku":"matcha-bowl","quantity":1}]}`, 409, "conflict"},
		{"broken", "bad-4", `{"lines":[`, 400, "invalid"},
	} {
		resp, problem := m.post(c.key, c.body, c.status)
		if problem["code"] != c.code || problem["trace_id"] != resp.Header.Get("X-Trace-Id") || problem["detail"] == "" {
			t.Errorf("%s: %v", c.name, problem)
		}
	}
}

func (m *mesh) testConsulLoss() {
	m.underLoad(func(context.Context) {
		m.run("kill", "consul", "--down-for", outage.String())
		eventually(m.t, 5*time.Second, "Consul is gone", func() error {
			if _, err := m.passing(m.t.Context()); err == nil {
				return errors.New("Consul still answers")
			}
			return nil
		})
		eventually(m.t, outage+20*time.Second, "Consul is back", func() error {
			var leader string
			_, err := tryGet(m.t.Context(), m.state.Consul+"/v1/status/leader", &leader)
			if err == nil && leader == "" {
				err = errors.New("no leader yet")
			}
			return err
		})
		eventually(m.t, 2*time.Second, "all instances are registered again", func() error { return m.allPassing(3) })
	})
}
