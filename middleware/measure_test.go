package middleware

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-kit/kit/metrics/generic"
	kitprom "github.com/go-kit/kit/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kitmesh/kitmesh/services/fault"
)

func TestMeasureServer(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	busy := func(ctx context.Context, request any) (any, error) {
		if n := testutil.ToFloat64(m.serverInFlight.WithLabelValues("a.B")); n != 1 {
			t.Errorf("%v in flight during the call", n)
		}
		return nil, nil
	}
	if err := call(t, m.Server("a.B")(busy)); err != nil {
		t.Fatal(err)
	}
	_ = call(t, m.Server("a.B")(broken))
	_ = call(t, m.Server("a.B")(failing(fault.New("made_up", "no"))))
	_ = call(t, Recover(m.Server("a.B")(func(context.Context, any) (any, error) { panic("oops") })))
	for _, c := range fault.Codes() {
		_ = call(t, m.Server("a.B")(failing(fault.New(c, "no"))))
	}
	for code, want := range map[string]float64{"ok": 1, "internal": 4, "invalid": 1, "deadline_exceeded": 1, "made_up": 0} {
		if got := testutil.ToFloat64(m.serverRequests.WithLabelValues("a.B", code)); got != want {
			t.Errorf("%s counted %v times, want %v", code, got, want)
		}
	}
	if n := testutil.ToFloat64(m.serverInFlight.WithLabelValues("a.B")); n != 0 {
		t.Errorf("%v in flight after all", n)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kitmesh_server_in_flight Requests being served.
# TYPE kitmesh_server_in_flight gauge
kitmesh_server_in_flight{method="a.B"} 0
`), "kitmesh_server_in_flight"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(m.serverSeconds); n != 1 {
		t.Errorf("%d histograms", n)
	}
}

func TestMeasureClient(t *testing.T) {
	m := NewMetrics(nil)
	e := m.Client("catalog", "catalog.Get")(failing(fault.New(fault.Limited, "no")))
	_ = call(t, e)
	if got := testutil.ToFloat64(m.clientRequests.WithLabelValues("catalog", "catalog.Get", "limited")); got != 1 {
		t.Errorf("counted %v", got)
	}
	m.Guard("stock")(Rejected)
	if got := testutil.ToFloat64(m.guardOutcomes.WithLabelValues("stock", "rejected")); got != 1 {
		t.Errorf("counted %v", got)
	}
}

func TestMeasureTwiceOnOneRegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	a, b := NewMetrics(reg), NewMetrics(reg)
	_ = call(t, a.Server("a.B")(fine))
	_ = call(t, b.Server("a.B")(fine))
	if got := testutil.ToFloat64(a.serverRequests.WithLabelValues("a.B", "ok")); got != 2 {
		t.Errorf("counted %v, want 2", got)
	}
	clash := prometheus.NewRegistry()
	clash.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "kitmesh_server_requests_total"}))
	defer func() {
		if recover() == nil {
			t.Error("a clash of names went unnoticed")
		}
	}()
	NewMetrics(clash)
}

// Methods that are measured side by side keep their labels, and a call binds none.
func TestMeasureBindsOnce(t *testing.T) {
	m := NewMetrics(nil)
	x, y := m.Client("t", "t.X")(fine), m.Client("t", "t.Y")(broken)
	for range 3 {
		_, _ = call(t, x), call(t, y)
	}
	if got := testutil.ToFloat64(m.clientRequests.WithLabelValues("t", "t.X", "ok")); got != 3 {
		t.Errorf("t.X counted %v", got)
	}
	if got := testutil.ToFloat64(m.clientRequests.WithLabelValues("t", "t.Y", "internal")); got != 3 {
		t.Errorf("t.Y counted %v", got)
	}
	e := m.Server("t.X")(fine)
	if n := testing.AllocsPerRun(100, func() { _, _ = e(context.Background(), nil) }); n != 0 {
		t.Errorf("%v allocations for each call, want 0", n)
	}
	t.Run("stock", func(t *testing.T) {
		base := generic.NewCounter("x").With("a", "1").With("b", "2").With("c", "3")
		x, okX := base.With("d", "x").(*generic.Counter)
		base.With("d", "y")
		if !okX || x.LabelValues()[7] == "x" {
			t.Error("stock siblings keep their labels: no trap any more")
		}
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"method", "code"})
		c := kitprom.NewCounter(vec)
		if n := testing.AllocsPerRun(100, func() { c.With("method", "m", "code", "ok").Add(1) }); n == 0 {
			t.Error("the stock counter binds labels without allocation now")
		}
	})
}

func BenchmarkMeasure(b *testing.B) {
	m := NewMetrics(nil)
	run := func(name string, e func(context.Context, any) (any, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = e(context.Background(), nil)
			}
		})
	}
	run("server", m.Server("a.B")(fine))
	run("server-error", m.Server("a.B")(failing(errors.New("boom"))))
	run("client", m.Client("a", "a.B")(fine))
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"method", "code"})
	c := kitprom.NewCounter(vec)
	run("stock-counter-alone", func(context.Context, any) (any, error) {
		c.With("method", "a.B", "code", "ok").Add(1)
		return nil, nil
	})
}
