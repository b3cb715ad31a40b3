package target_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd/lb"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// Stock lb.Retry over the balancer: one instance fails, its failures are booked
// on it, its breaker opens and it gets no more calls.
func TestStockRetryOverTheBalancer(t *testing.T) {
	var servers []*servertest.Server
	for range 3 {
		servers = append(servers, servertest.Serve(t, "127.0.0.1:0"))
	}
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(servers...)...), Balance: target.Balance{Policy: target.RoundRobin}})
	went := map[string]int{}
	balancer := x.Balancer("x.Read", func(grpc.ClientConnInterface) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			peer, _ := middleware.PeerFrom(ctx)
			went[peer.Instance]++
			if peer.Instance == "x-2" {
				return nil, fault.New(fault.Internal, "sick")
			}
			return request, nil
		}
	})
	await(t, "three connections", func() bool { // the picks dial
		_, _ = balancer.Endpoint()
		return !slices.ContainsFunc(x.Report().Members, func(m target.MemberReport) bool { return m.State != "ready" })
	})
	call := lb.Retry(5, 10*time.Second, balancer)
	for range 300 {
		if got, err := call(t.Context(), "hello"); err != nil || got != "hello" {
			t.Fatalf("%v, %v", got, err)
		}
	}
	for _, m := range x.Report().Members {
		if m.InFlight != 0 || m.Picks != uint64(went[m.ID]) {
			t.Errorf("%s: %d in flight, %d picks of %d calls", m.ID, m.InFlight, m.Picks, went[m.ID])
		}
		if sick := m.ID == "x-2"; sick != (m.Failures > 0) || sick != (m.Breaker == middleware.Open) {
			t.Errorf("%s: %d failures booked, breaker %s", m.ID, m.Failures, m.Breaker)
		}
	}
	if went["x-2"] > 20 {
		t.Errorf("%d calls to the sick one", went["x-2"])
	}
}

// Nobody there is go-kit's own error, and an endpoint that is not called leaves
// nothing behind.
func TestBalancerWithoutInstances(t *testing.T) {
	source := discovery.NewStatic()
	x := of(t, 0, target.Options{Source: source})
	balancer := x.Balancer("x.Read", func(grpc.ClientConnInterface) endpoint.Endpoint { return endpoint.Nop })
	if _, err := balancer.Endpoint(); !errors.Is(err, lb.ErrNoEndpoints) {
		t.Errorf("without instances: %v", err)
	}
	full := of(t, 1, target.Options{})
	e, err := full.Balancer("x.Read", func(grpc.ClientConnInterface) endpoint.Endpoint { return endpoint.Nop }).Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	if n := full.Report().Members[0].InFlight; n != 0 {
		t.Errorf("%d in flight before the call", n)
	}
	_ = full.Close()
	if _, err := e(t.Context(), nil); !errors.Is(err, target.ErrNotSent) {
		t.Errorf("after Close: %v", err)
	}
}
