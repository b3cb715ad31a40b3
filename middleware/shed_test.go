package middleware

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/services/fault"
)

// held is an endpoint whose requests stay until they are let go.
type held struct {
	e       endpoint.Endpoint
	leave   chan struct{}
	running sync.WaitGroup
}

func hold(m endpoint.Middleware) *held {
	h := &held{leave: make(chan struct{})}
	h.e = m(func(context.Context, any) (any, error) { <-h.leave; return nil, nil })
	return h
}

// enter sends a request and reports whether it was admitted. Within synctest.
func (h *held) enter(p Priority) bool {
	var refused atomic.Bool
	h.running.Go(func() {
		_, err := h.e(WithPriority(context.Background(), p), nil)
		refused.Store(err != nil)
	})
	synctest.Wait()
	return !refused.Load()
}

func (h *held) letGo() {
	close(h.leave)
	h.running.Wait()
}

// A limit of 10 has room for 5 of background work, 9+2 pages and 15+8 orders,
// and a class counts only itself and those above it.
func TestShedShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{Fixed: 10})
		h := hold(shed.Middleware("a.B"))
		fill := func(p Priority) (n int) {
			for h.enter(p) {
				n++
			}
			return n
		}
		if n := fill(Background); n != 5 {
			t.Errorf("%d of background work", n)
		}
		if n := fill(Normal); n != 11 {
			t.Errorf("%d pages while background work fills its share", n)
		}
		if n := fill(Critical); n != 20 {
			t.Errorf("%d orders while pages fill theirs", n)
		}
		r := shed.Report()
		if r.InFlight["critical"] != 20 || r.InFlight["normal"] != 11 || r.InFlight["background"] != 5 || r.Shed["critical"] != 1 || r.Adaptive {
			t.Errorf("%+v", r)
		}
		h.letGo()
		h = hold(shed.Middleware("a.B"))
		if n := fill(Critical); n != 20 {
			t.Errorf("%d orders", n)
		}
		if h.enter(Normal) || h.enter(Background) {
			t.Error("a page beside all those orders")
		}
		h.letGo()
		if f := shed.flight.Load(); f != 0 {
			t.Errorf("%x in flight at the end", f)
		}
	})
}

// Whatever comes and goes, the packed counts are those of a plain model.
func TestShedCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shed := NewShed(ShedSettings{Fixed: rapid.IntRange(1, 30).Draw(t, "limit")})
		m := shed.gradient.method("a.B")
		var in [priorities][]ticket
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			p := Priority(rapid.IntRange(-1, 1).Draw(t, "priority"))
			mine := &in[p.rank()]
			if len(*mine) > 0 && rapid.Bool().Draw(t, "leave") {
				shed.release((*mine)[0], m, nil)
				*mine = (*mine)[1:]
				continue
			}
			above := 0
			for r := p.rank(); r < priorities; r++ {
				above += len(in[r])
			}
			k, ok := shed.admit(p, 0)
			if want := int64(above) < shed.caps[p.rank()].Load(); ok != want {
				t.Fatalf("%v beside %d: admitted %v", p, above, ok)
			}
			if ok {
				*mine = append(*mine, k)
			}
		}
		for rank := range priorities {
			if n := shed.Report().InFlight[priorityNames[rank]]; int(n) != len(in[rank]) {
				t.Fatalf("%d of rank %d in flight, want %d", n, rank, len(in[rank]))
			}
		}
	})
}

// A refusal says when to come back, costs no work, is counted and traced, and
// no breaker, retry or log takes it for a failure.
func TestShedRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{Fixed: 1})
		h := hold(shed.Middleware("a.B"))
		for h.enter(Normal) {
		}
		recorded, metrics := new(spans), NewMetrics(nil)
		worked := 0
		e := ServerRing{
			Tracer: tracerTo(t, recorded, zipkin.AlwaysSample), Metrics: metrics, Shed: shed,
			Work: func(endpoint.Endpoint) endpoint.Endpoint {
				return func(context.Context, any) (any, error) { worked++; return nil, nil }
			},
		}.Wrap("a.C", fine)
		err := call(t, e)
		wantCode(t, err, fault.Overloaded)
		if fault.RetryAfterOf(err) <= 0 || fault.Retryable(err) || fault.Failure(err) || fault.Blames(err) || worked > 0 {
			t.Errorf("%v; worked %d", err, worked)
		}
		if s := recorded.take(t, 1); s[0].Tags[TagCode] != string(fault.Overloaded) {
			t.Errorf("traced %v", s[0].Tags)
		}
		if n := testutil.ToFloat64(metrics.serverRequests.WithLabelValues("a.C", "overloaded")); n != 1 {
			t.Errorf("counted %v times", n)
		}
		breaker := NewBreaker(BreakerSettings{Name: "a"})
		for range 100 {
			wantCode(t, call(t, breaker.Middleware(e)), fault.Overloaded)
		}
		if state := breaker.State(); state != "closed" {
			t.Errorf("the breaker is %s", state)
		}
		h.letGo()
	})
}

// In a ring that gives priorities, and in a ring that inherits them.
func TestShedPriorityOfMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{Fixed: 1})
		h := hold(shed.Middleware("a.B"))
		for h.enter(Normal) {
		}
		ring := ServerRing{Shed: shed, Priority: map[string]Priority{"a.Place": Critical}}
		inherits := func(want Priority) endpoint.Endpoint {
			return func(ctx context.Context, _ any) (any, error) {
				if got := PriorityFrom(ctx); got != want {
					t.Errorf("inside it is %v, want %v", got, want)
				}
				return nil, nil
			}
		}
		if err := call(t, ring.Wrap("a.Place", inherits(Critical))); err != nil {
			t.Errorf("an order: %v", err)
		}
		wantCode(t, call(t, ring.Wrap("a.Look", fine)), fault.Overloaded)
		if _, err := ring.Wrap("a.Look", inherits(Critical))(WithPriority(t.Context(), Critical), nil); err != nil {
			t.Errorf("a step of an order: %v", err)
		}
		if _, err := ring.Wrap("a.Place", fine)(WithPriority(t.Context(), Background), nil); fault.CodeOf(err) != fault.Overloaded {
			t.Errorf("a request that lowered itself: %v", err)
		}
		h.letGo()
	})
}

// Panics and goroutines that end give their places back.
func TestShedPanic(t *testing.T) {
	shed := NewShed(ShedSettings{Fixed: 1})
	e := Recover(shed.Middleware("a.B")(func(context.Context, any) (any, error) { panic("oops") }))
	for range 50 {
		wantCode(t, call(t, e), fault.Internal)
	}
	if f := shed.flight.Load(); f != 0 {
		t.Errorf("%d in flight", f)
	}
}

// One request at a time, rarely, and then none for an hour: no limit moves.
func TestShedIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{})
		e := shed.Middleware("a.B")(Work(time.Second, 1, 1)(fine))
		for range 20 {
			if err := call(t, e); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if r := shed.Report(); r.Limit != 32 || r.Unloaded["a.B"] != 1000 {
			t.Errorf("%+v", r)
		}
	})
}

// Requests that hang hold the places of a probe: it ends all the same.
func TestShedProbeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{})
		e := simulate(shed)
		crowds := []crowd{{Normal, 3, e}}
		drive(t, time.Second, crowds...)
		shed.gradient.nextProbe = 0
		h := hold(shed.Middleware("a.B"))
		for !shed.Report().Probing {
			h.enter(Normal)
			drive(t, 50*time.Millisecond, crowds...)
		}
		for range 5 {
			h.enter(Critical)
		}
		time.Sleep(probeMost)
		h.enter(Normal) // refused, but it notices
		if shed.Report().Probing {
			t.Error("still probing")
		}
		h.letGo()
	})
}

// Answers without work, such as a caller's mistakes, say nothing about the
// instance; a deadline that passed says a lot.
func TestShedSamples(t *testing.T) {
	for err, want := range map[error]int64{
		nil: 1, fault.New(fault.Deadline, "late"): 1, context.DeadlineExceeded: 1,
		fault.New(fault.NotFound, "no"): 0, fault.New(fault.Overloaded, "full"): 0, context.Canceled: 0,
	} {
		shed := NewShed(ShedSettings{})
		_ = call(t, shed.Middleware("a.B")(failing(err)))
		if got := shed.gradient.samples.Load(); got != want {
			t.Errorf("%v: %d samples", err, got)
		}
	}
}

func TestShedIsVisible(t *testing.T) {
	shed := NewShed(ShedSettings{Fixed: 4})
	_ = call(t, shed.Middleware("a.B")(fine))
	w := httptest.NewRecorder()
	shed.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/limit", nil))
	var r ShedReport
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || r.Limit != 4 || len(r.Most) != 3 {
		t.Errorf("%s: %v", w.Body, err)
	}
	const want = `
# HELP kitmesh_server_concurrency_limit Requests that the instance works on at once.
# TYPE kitmesh_server_concurrency_limit gauge
kitmesh_server_concurrency_limit 4
# HELP kitmesh_server_shed_total Requests refused because the instance was at its limit.
# TYPE kitmesh_server_shed_total counter
kitmesh_server_shed_total{priority="background"} 0
kitmesh_server_shed_total{priority="critical"} 0
kitmesh_server_shed_total{priority="normal"} 0
`
	if err := testutil.CollectAndCompare(shed, strings.NewReader(want), "kitmesh_server_concurrency_limit", "kitmesh_server_shed_total"); err != nil {
		t.Error(err)
	}
	var none *Shed
	if err := call(t, none.Middleware("a.B")(fine)); err != nil {
		t.Error(err)
	}
}

// Everything at once, for the race detector; and in the end nobody is inside.
func TestShedConcurrency(t *testing.T) {
	shed := NewShed(ShedSettings{Initial: 8})
	var methods []endpoint.Endpoint
	for _, name := range []string{"a.A", "a.B"} {
		methods = append(methods, shed.Middleware(name)(Work(100*time.Microsecond, 2, 100)(fine)))
	}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			ctx := WithPriority(context.Background(), Priority(i%priorities)-1)
			for range 200 {
				_, _ = methods[i%2](ctx, nil)
			}
		})
	}
	for range 100 {
		_ = shed.Report()
	}
	all.Wait()
	if f := shed.flight.Load(); f != 0 {
		t.Errorf("%x in flight", f)
	}
	if l := shed.Report().Limit; l < floor || l > 1000 {
		t.Errorf("limit %v", l)
	}
}

// Neither admitting nor refusing allocates.
func TestShedAllocates(t *testing.T) {
	shed := NewShed(ShedSettings{})
	full := NewShed(ShedSettings{Fixed: 1})
	full.caps[Normal.rank()].Store(0)
	for name, e := range map[string]endpoint.Endpoint{"admit": shed.Middleware("a.B")(fine), "refuse": full.Middleware("a.B")(fine)} {
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() { _, _ = e(ctx, nil) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkShed(b *testing.B) {
	shed := NewShed(ShedSettings{})
	full := NewShed(ShedSettings{Fixed: 1})
	full.caps[Normal.rank()].Store(0)
	for _, c := range []struct {
		name string
		e    endpoint.Endpoint
	}{{"admit", shed.Middleware("a.B")(fine)}, {"refuse", full.Middleware("a.B")(fine)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for pb.Next() {
					_, _ = c.e(ctx, nil)
				}
			})
		})
	}
}
