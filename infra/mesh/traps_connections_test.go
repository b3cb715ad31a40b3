package mesh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
	"github.com/go-kit/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// remote calls a service that Consul knows, over gRPC, through as many methods
// as wanted; end gives back all it holds.
type remote func(t *testing.T, url string, methods int) (calls []endpoint.Endpoint, end func())

func ourRemote(t *testing.T, url string, methods int) ([]endpoint.Endpoint, func()) {
	source := discovery.New(meshClient(t, url), "x", discovery.Options{})
	x := target.New(target.Options{Service: "x", Source: source})
	var calls []endpoint.Endpoint
	for n := range methods {
		calls = append(calls, x.Endpoint(fmt.Sprint("x.M", n), servertest.Dial))
	}
	return calls, func() {
		_ = x.Close()
		source.Stop()
	}
}

// The stock side is the way of go-kit's examples: an endpointer per method, whose
// factory dials and gives the connection as its closer.
func stockRemote(t *testing.T, url string, methods int) ([]endpoint.Endpoint, func()) {
	source := stockInstancer(t, url)
	factory := func(addr string) (endpoint.Endpoint, io.Closer, error) {
		probe, err := net.Dial("tcp", addr) // what grpc.WithBlock was used for
		if err != nil {
			return nil, nil, err
		}
		_ = probe.Close()
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		t.Cleanup(func() { _ = conn.Close() }) // the test leaks nothing; the stock code does
		return servertest.Dial(conn), conn, nil
	}
	var calls []endpoint.Endpoint
	var endpointers []*sd.DefaultEndpointer
	for range methods {
		e := sd.NewEndpointer(source, factory, log.NewNopLogger())
		endpointers = append(endpointers, e)
		balancer := lb.NewRoundRobin(e)
		calls = append(calls, func(ctx context.Context, request any) (any, error) {
			e, err := balancer.Endpoint()
			if err != nil {
				return nil, err
			}
			return e(ctx, request)
		})
	}
	return calls, func() {
		for _, e := range endpointers {
			e.Close()
		}
		source.Stop()
	}
}

func TestTrapsOfConnections(t *testing.T) {
	for name, body := range map[string]func(*testing.T, remote) string{
		"one connection for all methods": oneConnection,
		"Close closes connections":       closeCloses,
		"a departed instance finishes":   departedFinishes,
		"a failed dial is tried again":   failedDialIsRetried,
	} {
		trap[remote]{name, body, ourRemote, stockRemote}.run(t)
	}
}

func port(s *servertest.Server) (n int) {
	_, text, _ := net.SplitHostPort(s.Addr)
	fmt.Sscan(text, &n)
	return n
}

func reached(t *testing.T, call endpoint.Endpoint) bool {
	_, err := call(within(t, time.Second), nil)
	return err == nil
}

func oneConnection(t *testing.T, side remote) string {
	s, fake := servertest.Serve(t, "127.0.0.1:0"), consultest.NewFake(t)
	fake.Set(2, consultest.Entry("a", port(s)))
	calls, end := side(t, fake.URL(), 4)
	defer end()
	for _, call := range calls {
		if !eventually(2*time.Second, func() bool { return reached(t, call) }) {
			return "not reached"
		}
	}
	if n := s.Conns.Load(); n != 1 {
		return fmt.Sprintf("%d connections for 4 methods", n)
	}
	if n := fake.Watches(); n != 1 {
		return fmt.Sprintf("%d watches for 4 methods", n)
	}
	return ""
}

func closeCloses(t *testing.T, side remote) string {
	s, fake := servertest.Serve(t, "127.0.0.1:0"), consultest.NewFake(t)
	fake.Set(2, consultest.Entry("a", port(s)))
	calls, end := side(t, fake.URL(), 1)
	if !eventually(2*time.Second, func() bool { return reached(t, calls[0]) }) {
		return "not reached"
	}
	end()
	if !eventually(time.Second, func() bool { return s.Conns.Load() == 0 }) {
		return fmt.Sprintf("%d connections left after Close", s.Conns.Load())
	}
	return ""
}

func departedFinishes(t *testing.T, side remote) string {
	a, b, fake := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0"), consultest.NewFake(t)
	fake.Set(2, consultest.Entry("a", port(a)))
	calls, end := side(t, fake.URL(), 1)
	defer end()
	if !eventually(2*time.Second, func() bool { return reached(t, calls[0]) }) {
		return "not reached"
	}
	gate := make(chan struct{})
	a.Hold(gate)
	before := a.Calls.Load()
	inFlight := make(chan error, 1)
	go func() {
		_, err := calls[0](within(t, 5*time.Second), nil)
		inFlight <- err
	}()
	if !eventually(time.Second, func() bool { return a.Calls.Load() > before }) {
		return "not in flight"
	}
	// The same id at another address: a left for sure.
	fake.Set(3, consultest.Entry("a", port(b)))
	select {
	case err := <-inFlight:
		return fmt.Sprintf("the call in flight was cut off: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(gate)
	if err := <-inFlight; err != nil {
		return "the call in flight failed: " + err.Error()
	}
	return ""
}

func failedDialIsRetried(t *testing.T, side remote) string {
	early, fake := servertest.Serve(t, "127.0.0.1:0"), consultest.NewFake(t)
	addr := early.Addr
	early.Stop()
	fake.Set(2, consultest.Entry("a", port(early)))
	calls, end := side(t, fake.URL(), 1)
	defer end()
	if eventually(300*time.Millisecond, func() bool { return reached(t, calls[0]) }) {
		return "reached, but nobody listens"
	}
	servertest.Serve(t, addr)
	if !eventually(2*time.Second, func() bool { return reached(t, calls[0]) }) {
		return "still not reached 2 s after the instance came up"
	}
	return ""
}
