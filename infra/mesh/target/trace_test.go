package target_test

import (
	"context"
	"testing"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/reporter/recorder"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// Every try is a client span that names the instance, dead ones included, and
// the call carries the trace on.
func TestTriesAreTraced(t *testing.T) {
	spans := recorder.NewReporter()
	defer spans.Close()
	tracer, err := zipkin.NewTracer(spans)
	if err != nil {
		t.Fatal(err)
	}
	dead, well := servertest.Serve(t, "127.0.0.1:0"), servertest.Serve(t, "127.0.0.1:0")
	dead.Stop()
	var sent metadata.MD
	spy := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		sent, _ = metadata.FromOutgoingContext(ctx)
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	x := of(t, 0, target.Options{
		Source: discovery.NewStatic(at(dead, well)...), Tracer: tracer,
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(spy)},
	})
	e := x.Endpoint("x.M", servertest.Dial)
	var failed, answered *model.SpanModel
	await(t, "a try of the dead one", func() bool { // chance begins with it in every second call or so
		x := of(t, 0, target.Options{Source: discovery.NewStatic(at(dead, well)...), Tracer: tracer})
		_ = call(t, x.Endpoint("x.M", servertest.Dial))
		for _, s := range spans.Flush() {
			if s.Tags["instance"] == "x-1" && s.Tags["error"] != "" {
				failed = &s
			}
			if failed != nil && s.Tags["instance"] == "x-2" {
				answered = &s
			}
		}
		return failed != nil && answered != nil
	})
	for _, s := range []*model.SpanModel{failed, answered} {
		if s.Kind != model.Client || s.RemoteEndpoint == nil || s.RemoteEndpoint.ServiceName != "x" || s.RemoteEndpoint.Port == 0 {
			t.Errorf("span = %+v, want a client span to service x", s)
		}
	}
	if failed.Tags["try"] != "1" || answered.Tags["try"] != "2" || failed.Tags["breaker"] != "closed" {
		t.Errorf("tags = %v and %v, want tries 1 and 2 and the breaker's state", failed.Tags, answered.Tags)
	}
	if err := call(t, e); err != nil {
		t.Fatal(err)
	}
	if ids := sent.Get("x-b3-traceid"); len(ids) != 1 || ids[0] == "" {
		t.Errorf("x-b3-traceid sent = %v, want one", ids)
	}
}
