package target_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/reporter"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
)

// What the whole client ring allocates around a call, gRPC itself left out. The
// bounds are what it needs now; a change that needs more shall say why.
func TestRingAllocations(t *testing.T) {
	tracer, err := zipkin.NewTracer(reporter.NewNoopReporter(), zipkin.WithNoopSpan(true), zipkin.WithTraceID128Bit(true))
	if err != nil {
		t.Fatal(err)
	}
	in := func(sampled bool) context.Context {
		return middleware.WithRemote(t.Context(), model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2, Sampled: &sampled})
	}
	for name, tt := range map[string]struct {
		tracer *zipkin.Tracer
		ctx    context.Context
		most   float64
	}{
		"without a tracer":         {nil, t.Context(), 2},
		"a new trace, not sampled": {tracer, t.Context(), 7},
		"within one, not sampled":  {tracer, in(false), 6},
		"within one, sampled":      {tracer, in(true), 16},
	} {
		t.Run(name, func(t *testing.T) {
			// Connections that stand: one that is tried again and again allocates too.
			well := discovery.NewStatic(at(servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0"))...)
			x := of(t, 0, target.Options{Source: well, Tracer: tt.tracer, Metrics: target.NewMetrics(prometheus.NewRegistry())})
			ring := middleware.ClientRing{
				Target: "x", Sampler: zipkin.NeverSample,
				Metrics: middleware.NewMetrics(prometheus.NewRegistry()), Deadline: time.Minute,
			}
			e := ring.Call("x.M", x.Endpoint("x.M", sendsNothing(tt.tracer != nil)))
			ctx, cancel := context.WithTimeout(tt.ctx, 10*time.Second)
			defer cancel()
			await(t, "two connections", func() bool {
				_, _ = e(ctx, nil)
				return !slices.ContainsFunc(x.Report().Members, func(m target.MemberReport) bool { return m.State != "ready" })
			})
			got := testing.AllocsPerRun(1000, func() {
				if _, err := e(ctx, nil); err != nil {
					t.Fatal(err)
				}
			})
			if got > tt.most {
				t.Errorf("%v allocations, want at most %v", got, tt.most)
			}
		})
	}
}

// sendsNothing makes an endpoint that does all that the ring does about a call
// on a connection, and no call.
func sendsNothing(traced bool) func(grpc.ClientConnInterface) endpoint.Endpoint {
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	inject := middleware.InjectB3()
	return func(grpc.ClientConnInterface) endpoint.Endpoint {
		return func(ctx context.Context, _ any) (any, error) {
			if !traced {
				return nil, nil
			}
			return nil, inject(ctx, "/x/M", nil, nil, nil, invoke)
		}
	}
}
