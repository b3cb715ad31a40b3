package target_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

// server is a gRPC instance that counts its connections and calls. Its one
// method answers when gate is closed or nil.
type server struct {
	health.UnimplementedHealthServer
	addr   string
	grpc   *grpc.Server
	conns  atomic.Int32 // open now
	dialed atomic.Int32 // ever
	calls  atomic.Int32
	mu     sync.Mutex
	gate   chan struct{}
}

func serve(t *testing.T, addr string) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	s.grpc = grpc.NewServer(append(target.ServerOptions(), grpc.StatsHandler(s))...)
	health.RegisterHealthServer(s.grpc, s)
	go s.grpc.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(s.grpc.Stop)
	return s
}

func (s *server) setGate(gate chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

func (s *server) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	s.calls.Add(1)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func (s *server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *server) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *server) HandleRPC(context.Context, stats.RPCStats)                         {}

func (s *server) HandleConn(_ context.Context, c stats.ConnStats) {
	switch c.(type) {
	case *stats.ConnBegin:
		s.conns.Add(1)
		s.dialed.Add(1)
	case *stats.ConnEnd:
		s.conns.Add(-1)
	}
}

// dial is what transports/rpc does: the endpoint of a method on a connection.
func dial(conn grpc.ClientConnInterface) endpoint.Endpoint {
	client := health.NewHealthClient(conn)
	return func(ctx context.Context, _ any) (any, error) {
		return client.Check(ctx, &health.HealthCheckRequest{})
	}
}

func at(servers ...*server) []discovery.Instance {
	var out []discovery.Instance
	for n, s := range servers {
		out = append(out, discovery.Instance{Service: "x", ID: fmt.Sprintf("x-%d", n+1), Addr: s.addr})
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

// One connection per instance, whatever the number of methods; none before the
// first call; none after Close.
func TestOneConnectionPerInstance(t *testing.T) {
	a, b := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	leaks := goleak.IgnoreCurrent()
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(a, b)...)})
	if n := a.dialed.Load() + b.dialed.Load(); n != 0 {
		t.Errorf("%d connections before the first call, want none", n)
	}
	var methods []endpoint.Endpoint
	for n := range 5 {
		methods = append(methods, x.Endpoint(fmt.Sprintf("x.M%d", n), dial))
	}
	for n := range 200 {
		if err := call(t, methods[n%5]); err != nil {
			t.Fatal(err)
		}
	}
	if a.dialed.Load() != 1 || b.dialed.Load() != 1 {
		t.Errorf("%d and %d connections for 5 methods, want 1 each", a.dialed.Load(), b.dialed.Load())
	}
	if a.calls.Load() < 50 || b.calls.Load() < 50 {
		t.Errorf("calls %d and %d, want both used", a.calls.Load(), b.calls.Load())
	}
	_ = x.Close()
	_ = x.Close()
	await(t, "connections closed", func() bool { return a.conns.Load()+b.conns.Load() == 0 })
	a.grpc.Stop()
	b.grpc.Stop()
	goleak.VerifyNone(t, leaks)
	if err := call(t, methods[0]); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
}

// A departed instance finishes its calls before its connection closes, for at
// most the drain time.
func TestDrain(t *testing.T) {
	a, b := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	gate := make(chan struct{})
	a.setGate(gate)
	source := discovery.NewStatic(at(a)...)
	x := of(t, 0, target.Options{Source: source})
	e := x.Endpoint("x.M", dial)

	inFlight := make(chan error, 1)
	go func() { inFlight <- call(t, e) }()
	await(t, "in flight", func() bool { return a.calls.Load() == 1 })
	source.Set(at(b)...)
	await(t, "moved on", func() bool { return x.Report().Members[0].Addr == b.addr })
	if err := call(t, e); err != nil || b.calls.Load() != 1 {
		t.Fatalf("a new call: %v; the new instance got %d, want 1", err, b.calls.Load())
	}
	if a.conns.Load() != 1 {
		t.Fatal("the connection was closed with a call in flight")
	}
	close(gate)
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	await(t, "closed after the last call", func() bool { return a.conns.Load() == 0 })
	if a.calls.Load() != 1 {
		t.Errorf("the departed instance got %d calls, want 1", a.calls.Load())
	}
}

func TestDrainHasABound(t *testing.T) {
	a, b := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	a.setGate(make(chan struct{})) // never answers
	source := discovery.NewStatic(at(a)...)
	x := of(t, 0, target.Options{Source: source, Drain: 50 * time.Millisecond})
	e := x.Endpoint("x.M", dial)
	inFlight := make(chan error, 1)
	go func() { inFlight <- call(t, e) }()
	await(t, "in flight", func() bool { return a.calls.Load() == 1 })
	source.Set(at(b)...)
	// The connection closes under the call, which is not the caller's doing: it
	// goes to the other instance.
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v, want it repeated elsewhere", err)
	}
	await(t, "closed", func() bool { return a.conns.Load() == 0 })
}

// An instance that dies costs no call, and one that returns on the same port is
// used again within the second although discovery noticed neither.
func TestRestartOnTheSamePort(t *testing.T) {
	a, b := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(a, b)...)})
	e := x.Endpoint("x.M", dial)
	for range 20 {
		if err := call(t, e); err != nil {
			t.Fatal(err)
		}
	}
	a.grpc.Stop()
	for n := range 200 {
		if err := call(t, e); err != nil {
			t.Fatalf("call %d after the death: %v", n, err)
		}
	}
	if r := x.Report(); r.Retries > 5 {
		t.Errorf("%d retries for one death, want few: the connection tells", r.Retries)
	}
	time.Sleep(700 * time.Millisecond) // let the back-off grow
	back := serve(t, a.addr)
	took := await(t, "used again", func() bool { _ = call(t, e); return back.calls.Load() > 0 })
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
	a := serve(t, "127.0.0.1:0")
	x := of(t, 0, target.Options{Source: discovery.NewStatic(append(at(a), discovery.Instance{ID: "silent", Addr: silent.Addr().String()})...)})
	e := x.Endpoint("x.M", dial)
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
	free := serve(t, "127.0.0.1:0")
	addr := free.addr
	free.grpc.Stop()
	x := of(t, 0, target.Options{Source: discovery.NewStatic(discovery.Instance{ID: "late", Addr: addr})})
	e := x.Endpoint("x.M", dial)
	if err := call(t, e); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("nobody listens: %v, want unavailable", err)
	}
	serve(t, addr)
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
