package target_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

func at(servers ...*servertest.Server) []discovery.Instance {
	var out []discovery.Instance
	for n, s := range servers {
		out = append(out, discovery.Instance{Service: "x", ID: fmt.Sprintf("x-%d", n+1), Addr: s.Addr})
	}
	return out
}

func await(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

func call(t *testing.T, e endpoint.Endpoint) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := e(ctx, nil)
	return err
}

// One connection per instance, whatever the number of methods and of callers
// that are first at once; none before the first call; none after Close.
func TestOneConnectionPerInstance(t *testing.T) {
	a, b := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	leaks := goleak.IgnoreCurrent()
	// By calls in flight only: by latency, one that happens to answer a little
	// earlier may get nearly all.
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(a, b)...), Balance: target.Balance{Policy: target.LeastRequest}})
	if n := a.Dialed.Load() + b.Dialed.Load(); n != 0 {
		t.Errorf("%d connections before the first call, want none", n)
	}
	var methods []endpoint.Endpoint
	for n := range 5 {
		methods = append(methods, x.Endpoint(fmt.Sprintf("x.M%d", n), servertest.Dial))
	}
	// atOnce runs n calls at once; meanwhile runs while all of them are held.
	atOnce := func(n int32, meanwhile func()) {
		gate := make(chan struct{})
		a.Hold(gate)
		b.Hold(gate)
		a.Calls.Store(0)
		b.Calls.Store(0)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if _, err := methods[i%5](ctx, nil); err != nil {
					t.Error(err)
				}
			})
		}
		await(t, "all calls under way", func() bool { return a.Calls.Load()+b.Calls.Load() >= n })
		meanwhile()
		close(gate)
		all.Wait()
	}
	atOnce(100, func() {}) // nearly all to the one that is connected first
	await(t, "both connected and used", func() bool {
		_ = call(t, methods[0])
		return a.Calls.Load() > 0 && b.Calls.Load() > 0
	})
	atOnce(100, func() {
		if a.Calls.Load() < 30 || b.Calls.Load() < 30 {
			t.Errorf("calls %d and %d at once, want both well used", a.Calls.Load(), b.Calls.Load())
		}
	})
	if a.Dialed.Load() != 1 || b.Dialed.Load() != 1 {
		t.Errorf("%d and %d connections for 5 methods, want 1 each", a.Dialed.Load(), b.Dialed.Load())
	}
	_ = x.Close()
	_ = x.Close()
	await(t, "connections closed", func() bool { return a.Conns.Load()+b.Conns.Load() == 0 })
	a.Stop()
	b.Stop()
	goleak.VerifyNone(t, leaks)
	if err := call(t, methods[0]); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
}

// What PerTry puts around a method sees every try; a method listed in Once has
// one, unless it was provably not sent.
func TestPerTryAndOnce(t *testing.T) {
	a, b := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	tries := map[string]int{}
	x := of(t, 0, target.Options{
		Source: discovery.NewStatic(at(a, b)...),
		Retry:  target.Retry{Once: []string{"x.Note"}},
		PerTry: func(method string) endpoint.Middleware {
			return func(next endpoint.Endpoint) endpoint.Endpoint {
				return func(ctx context.Context, request any) (any, error) {
					if _, err := next(ctx, request); err != nil {
						return nil, err
					}
					if tries[method]++; tries[method] == 1 {
						return nil, fault.New(fault.Unavailable, "the answer got lost")
					}
					return "answered", nil
				}
			}
		},
	})
	read, note := x.Endpoint("x.Read", servertest.Dial), x.Endpoint("x.Note", servertest.Dial)
	if err := call(t, read); err != nil || tries["x.Read"] != 2 {
		t.Errorf("x.Read: %v after %d tries, want 2", err, tries["x.Read"])
	}
	if err := call(t, note); fault.CodeOf(err) != fault.Unavailable || tries["x.Note"] != 1 {
		t.Errorf("x.Note: %v after %d tries, want one that failed", err, tries["x.Note"])
	}
}

// A departed instance finishes its calls before its connection closes, for at
// most the drain time.
func TestDrain(t *testing.T) {
	a, b := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	gate := make(chan struct{})
	a.Hold(gate)
	source := discovery.NewStatic(at(a)...)
	x := of(t, 0, target.Options{Source: source})
	e := x.Endpoint("x.M", servertest.Dial)

	inFlight := make(chan error, 1)
	go func() { inFlight <- call(t, e) }()
	await(t, "in flight", func() bool { return a.Calls.Load() == 1 })
	source.Set(at(b)...)
	await(t, "moved on", func() bool { return x.Report().Members[0].Addr == b.Addr })
	if err := call(t, e); err != nil || b.Calls.Load() != 1 {
		t.Fatalf("a new call: %v; the new instance got %d, want 1", err, b.Calls.Load())
	}
	if a.Conns.Load() != 1 {
		t.Fatal("the connection was closed with a call in flight")
	}
	close(gate)
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	await(t, "closed after the last call", func() bool { return a.Conns.Load() == 0 })
	if a.Calls.Load() != 1 {
		t.Errorf("the departed instance got %d calls, want 1", a.Calls.Load())
	}
}

func TestDrainHasABound(t *testing.T) {
	a, b := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	a.Hold(make(chan struct{})) // never answers
	source := discovery.NewStatic(at(a)...)
	x := of(t, 0, target.Options{Source: source, Drain: 50 * time.Millisecond})
	e := x.Endpoint("x.M", servertest.Dial)
	inFlight := make(chan error, 1)
	go func() { inFlight <- call(t, e) }()
	await(t, "in flight", func() bool { return a.Calls.Load() == 1 })
	source.Set(at(b)...)
	// The connection closes under the call, which is not the caller's doing: it
	// goes to the other instance.
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v, want it repeated elsewhere", err)
	}
	await(t, "closed", func() bool { return a.Conns.Load() == 0 })
}

// An instance that dies costs no call, and one that returns on the same port is
// used again within the second although discovery noticed neither.
func TestRestartOnTheSamePort(t *testing.T) {
	a, b := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(a, b)...)})
	e := x.Endpoint("x.M", servertest.Dial)
	for range 20 {
		if err := call(t, e); err != nil {
			t.Fatal(err)
		}
	}
	a.Stop()
	for n := range 200 {
		if err := call(t, e); err != nil {
			t.Fatalf("call %d after the death: %v", n, err)
		}
	}
	if r := x.Report(); r.Retries > 5 {
		t.Errorf("%d retries for one death, want few: the connection tells", r.Retries)
	}
	time.Sleep(700 * time.Millisecond) // let the back-off grow
	back := servertest.Serve(t, a.Addr)
	took := await(t, "used again", func() bool { _ = call(t, e); return back.Calls.Load() > 0 })
	t.Logf("used again %v after the restart", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("used again after %v, want at most 2 s", took)
	}
}

// An address that accepts and says nothing holds up no call once a healthy
// connection is there, and its own for a second.
func TestSilentPeer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a := servertest.Serve(t, "127.0.0.1:0")
	x := of(t, 0, target.Options{Source: discovery.NewStatic(append(at(a), discovery.Instance{ID: "silent", Addr: silent.Addr().String()})...)})
	e := x.Endpoint("x.M", servertest.Dial)
	slowest := time.Duration(0)
	for range 100 {
		start := time.Now()
		if err := call(t, e); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(start))
	}
	if slowest > 1500*time.Millisecond {
		t.Errorf("slowest call %v, want at most the 1 s that connecting may take", slowest)
	}
}

// A connection that cannot be made is not remembered as such.
func TestDialFailureIsRetried(t *testing.T) {
	free := servertest.Serve(t, "127.0.0.1:0")
	addr := free.Addr
	free.Stop()
	x := of(t, 0, target.Options{Source: discovery.NewStatic(discovery.Instance{ID: "late", Addr: addr})})
	e := x.Endpoint("x.M", servertest.Dial)
	if err := call(t, e); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("nobody listens: %v, want unavailable", err)
	}
	servertest.Serve(t, addr)
	await(t, "reached", func() bool { return call(t, e) == nil })
}

// No goroutine per call, and few allocations beyond gRPC's own.
func TestCallsAreCheap(t *testing.T) {
	x := of(t, 3, target.Options{})
	try := func(context.Context, *target.Member) error { return nil }
	if n := testing.AllocsPerRun(1000, func() { _ = x.Do(t.Context(), read, try) }); n > 4 {
		t.Errorf("%v allocations per call around the try, want at most 4", n)
	} else {
		t.Logf("%v allocations per call around the try", n)
	}
}

func BenchmarkDo(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := target.New(target.Options{Service: "x", Source: discovery.NewStatic(instances(n)...)})
			defer x.Close()
			try := func(context.Context, *target.Member) error { return nil }
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = x.Do(ctx, read, try)
				}
			})
		})
	}
}
