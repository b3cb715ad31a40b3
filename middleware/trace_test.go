package middleware

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/go-kit/kit/endpoint"
	kitzipkin "github.com/go-kit/kit/tracing/zipkin"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	zipkinb3 "github.com/openzipkin/zipkin-go/propagation/b3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// spans is a reporter that keeps what it gets.
type spans struct {
	mu  sync.Mutex
	all []model.SpanModel
}

func (s *spans) Send(span model.SpanModel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, span)
}

func (*spans) Close() error { return nil }

func (s *spans) take(t *testing.T, n int) []model.SpanModel {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) != n {
		t.Fatalf("%d spans recorded, want %d: %+v", len(s.all), n, s.all)
	}
	got := s.all
	s.all = nil
	return got
}

func tracerTo(t testing.TB, r *spans, sampler zipkin.Sampler) *zipkin.Tracer {
	t.Helper()
	tracer, err := zipkin.NewTracer(r, zipkin.WithSampler(sampler), zipkin.WithNoopSpan(true), zipkin.WithTraceID128Bit(true),
		zipkin.WithLocalEndpoint(&model.Endpoint{ServiceName: "here"}))
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// remote is a hop over gRPC without the network: metadata out, metadata in.
func remote(served endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (response any, err error) {
		err = InjectB3()(ctx, "/m", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			md, _ := metadata.FromOutgoingContext(ctx)
			ctx = metadata.NewIncomingContext(context.WithoutCancel(context.Background()), md)
			response, err = ExtractB3()(ctx, request, nil, func(ctx context.Context, request any) (any, error) { return served(ctx, request) })
			return err
		})
		return response, err
	}
}

func TestTraceAcrossAHop(t *testing.T) {
	r := new(spans)
	tracer := tracerTo(t, r, zipkin.AlwaysSample)
	var seen, inner string
	served := TraceServer(tracer, "catalog.Get")(func(ctx context.Context, _ any) (any, error) {
		seen = TraceID(ctx)
		return nil, fault.New(fault.NotFound, "no such product")
	})
	e := TraceServer(tracer, "gateway.Page")(func(ctx context.Context, request any) (any, error) {
		inner = TraceID(ctx)
		ctx = WithPeer(ctx, Peer{Service: "catalog", Instance: "catalog-2", Addr: "127.0.0.1:81", Breaker: Closed, Try: 2})
		return TraceClient(tracer, "catalog.Get")(remote(served))(ctx, request)
	})
	wantCode(t, call(t, e), fault.NotFound)
	got := r.take(t, 3)
	server, client, root := got[0], got[1], got[2]
	if len(inner) != 32 || seen != inner || TraceID(t.Context()) != "" {
		t.Errorf("trace ids %q and %q", inner, seen)
	}
	if root.Kind != model.Server || root.ParentID != nil || root.Shared {
		t.Errorf("root %+v", root)
	}
	if client.Kind != model.Client || client.ParentID == nil || *client.ParentID != root.ID {
		t.Errorf("client %+v", client)
	}
	if server.Kind != model.Server || !server.Shared || server.ID != client.ID || server.TraceID != client.TraceID {
		t.Errorf("the server did not join the client's span: %+v", server)
	}
	if e := client.RemoteEndpoint; e == nil || e.ServiceName != "catalog" || !e.IPv4.Equal(net.IPv4(127, 0, 0, 1)) || e.Port != 81 {
		t.Errorf("remote endpoint %+v", e)
	}
	for key, want := range map[string]string{
		TagInstance: "catalog-2", TagTry: "2", TagBreaker: Closed, TagCode: "not_found", "error": "not_found: no such product",
	} {
		if client.Tags[key] != want {
			t.Errorf("tag %s is %q, want %q", key, client.Tags[key], want)
		}
	}
	if server.Tags["error"] == "" || root.Tags[TagCode] != "not_found" {
		t.Errorf("tags %v, %v", server.Tags, root.Tags)
	}
}

// The dependency graph finds a dead instance by the client span alone, which
// therefore needs the error and the name of the service.
func TestTraceOfADeadInstance(t *testing.T) {
	r := new(spans)
	tracer := tracerTo(t, r, zipkin.AlwaysSample)
	b := NewBreaker(BreakerSettings{Name: "catalog-1", ConsecutiveFailures: 1})
	e := chain(failing(fault.New(fault.Unavailable, "connection refused")), TraceClient(tracer, "catalog.Get"), b.Middleware)
	for try := range 2 {
		ctx := WithPeer(t.Context(), Peer{Service: "catalog", Instance: "catalog-1", Addr: "[::1]:80", Breaker: b.State(), Try: try + 1})
		_, err := e(ctx, nil)
		wantCode(t, err, fault.Unavailable)
	}
	got := r.take(t, 2) // one for each try, the refused one too
	if got[1].Tags[TagBreaker] != Open || got[1].Tags[TagTry] != "2" {
		t.Errorf("tags of the refused try %v", got[1].Tags)
	}
	for _, s := range got {
		if s.RemoteEndpoint == nil || s.RemoteEndpoint.ServiceName != "catalog" || s.RemoteEndpoint.IPv6 == nil || s.Tags["error"] == "" {
			t.Errorf("span %+v", s)
		}
	}
	t.Run("stock", func(t *testing.T) {
		_ = call(t, kitzipkin.TraceEndpoint(tracer, "catalog.Get")(broken))
		if s := r.take(t, 1)[0]; s.Tags["error"] != "" || s.RemoteEndpoint != nil {
			t.Errorf("the stock span tells of the error: %+v", s)
		}
	})
}

func TestTraceDecisionTravels(t *testing.T) {
	type decision struct {
		sampled *bool
		debug   bool
	}
	for name, tt := range map[string]struct {
		in       decision
		sampler  zipkin.Sampler // of the server
		recorded int
	}{
		"sampled": {decision{sampled: new(true)}, zipkin.NeverSample, 2},
		"not":     {decision{sampled: new(false)}, zipkin.AlwaysSample, 0},
		"debug":   {decision{debug: true}, zipkin.NeverSample, 2},
		"open":    {decision{}, zipkin.AlwaysSample, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := new(spans)
			tracer := tracerTo(t, r, tt.sampler)
			sc := model.SpanContext{TraceID: model.TraceID{High: 1, Low: 2}, ID: 3, Sampled: tt.in.sampled, Debug: tt.in.debug}
			var after model.SpanContext
			next := remote(func(ctx context.Context, _ any) (any, error) {
				after = zipkin.SpanFromContext(ctx).Context()
				return nil, nil
			})
			e := TraceServer(tracer, "a.B")(TraceClient(tracer, "c.D")(next))
			if _, err := e(WithRemote(t.Context(), sc), nil); err != nil {
				t.Fatal(err)
			}
			r.take(t, tt.recorded)
			if after.TraceID != sc.TraceID || after.Debug != tt.in.debug {
				t.Errorf("two hops on: %+v", after)
			}
			if tt.recorded == 0 && (after.Sampled == nil || *after.Sampled) {
				t.Errorf("the decision not to record got lost: %+v", after)
			}
		})
	}
}

func TestTraceBelowTheTransport(t *testing.T) {
	r := new(spans)
	tracer := tracerTo(t, r, zipkin.AlwaysSample)
	http, ctx := tracer.StartSpanFromContext(t.Context(), "get /v1", zipkin.Kind(model.Server))
	if _, err := TraceServer(tracer, "gateway.Page")(fine)(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if s := r.take(t, 1)[0]; s.ParentID == nil || *s.ParentID != http.Context().ID || s.ID == http.Context().ID || s.Shared {
		t.Errorf("not a child of the transport's span: %+v", s)
	}
}

func TestTracePanicEndsTheSpan(t *testing.T) {
	r := new(spans)
	e := Recover(TraceServer(tracerTo(t, r, zipkin.AlwaysSample), "a.B")(func(context.Context, any) (any, error) { panic("oops") }))
	wantCode(t, call(t, e), fault.Internal)
	if s := r.take(t, 1)[0]; s.Tags["error"] == "" {
		t.Errorf("span %+v", s)
	}
}

func TestTraceWithoutTracer(t *testing.T) {
	if err := call(t, TraceServer(nil, "a.B")(TraceClient(nil, "a.B")(fine))); err != nil {
		t.Fatal(err)
	}
}

func TestInjectB3KeepsOtherMetadata(t *testing.T) {
	r := new(spans)
	span, ctx := tracerTo(t, r, zipkin.AlwaysSample).StartSpanFromContext(t.Context(), "x")
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", "k1", "x-b3-traceid", "f00")
	err := InjectB3()(ctx, "/m", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		if v := md.Get("idempotency-key"); len(v) != 1 || v[0] != "k1" {
			t.Errorf("other metadata %v", v)
		}
		if sc, ok := b3.Extract(func(key string) string { return lastOf(md[key]) }); !ok || sc.TraceID != span.Context().TraceID {
			t.Errorf("the context got lost: %v", md)
		}
		return errBoom
	})
	if !errors.Is(err, errBoom) {
		t.Error(err)
	}
}

func benchTrace(b *testing.B, e endpoint.Endpoint, ctx context.Context) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = e(ctx, nil)
	}
}

// drop is a reporter that costs nothing.
type drop struct{}

func (drop) Send(model.SpanModel) {}
func (drop) Close() error         { return nil }

func BenchmarkTrace(b *testing.B) {
	tracer, err := zipkin.NewTracer(drop{}, zipkin.WithNoopSpan(true))
	if err != nil {
		b.Fatal(err)
	}
	e := TraceServer(tracer, "a.B")(TraceClient(tracer, "a.B")(fine))
	in := func(sampled bool) context.Context {
		return WithRemote(context.Background(), model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2, Sampled: &sampled})
	}
	b.Run("unsampled", func(b *testing.B) { benchTrace(b, e, in(false)) })
	b.Run("sampled", func(b *testing.B) { benchTrace(b, e, in(true)) })
	stock := kitzipkin.TraceEndpoint(tracer, "a.B")(kitzipkin.TraceEndpoint(tracer, "a.B")(fine))
	b.Run("stock-unsampled", func(b *testing.B) { benchTrace(b, stock, in(false)) })
}

// An unsampled call must cost nothing; the stock one costs as much as a sampled one.
func TestTraceUnsampledIsFree(t *testing.T) {
	tracer, err := zipkin.NewTracer(drop{}, zipkin.WithNoopSpan(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithRemote(t.Context(), model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2, Sampled: new(false)})
	ours := TraceServer(tracer, "a.B")(TraceClient(tracer, "a.B")(fine))
	if n := testing.AllocsPerRun(100, func() { _, _ = ours(ctx, nil) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	t.Run("stock", func(t *testing.T) {
		stock := kitzipkin.TraceEndpoint(tracer, "a.B")(fine)
		if n := testing.AllocsPerRun(100, func() { _, _ = stock(ctx, nil) }); n < 5 {
			t.Errorf("the stock middleware needs only %v allocations now", n)
		}
	})
}

// The decision about a trace that begins with a call is made once, before any
// span, and all of its tries and hops share the id.
func TestBeginTrace(t *testing.T) {
	for name, tt := range map[string]struct {
		sampler  zipkin.Sampler
		recorded bool
	}{
		"recorded": {zipkin.AlwaysSample, true},
		"not":      {zipkin.NeverSample, false},
		"tracer's": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := new(spans)
			asked := 0
			tracer := tracerTo(t, r, func(uint64) bool { asked++; return tt.sampler == nil })
			var ids []string
			served := TraceServer(tracer, "a.B")(func(ctx context.Context, _ any) (any, error) {
				ids = append(ids, TraceID(ctx))
				return nil, nil
			})
			try := TraceClient(tracer, "a.B")(remote(served))
			e := BeginTrace(tt.sampler)(func(ctx context.Context, request any) (any, error) {
				if !tt.recorded {
					_, _ = try(ctx, request) // the try of a recorded one begins the trace
				}
				return try(ctx, request)
			})
			if err := call(t, e); err != nil {
				t.Fatal(err)
			}
			if len(ids[0]) != 32 || ids[0] != ids[len(ids)-1] {
				t.Errorf("trace ids %q", ids)
			}
			if want := map[bool]int{true: 1}[tt.sampler == nil]; asked != want {
				t.Errorf("the tracer's sampler was asked %d times, want %d", asked, want)
			}
			if !tt.recorded {
				r.take(t, 0)
				return
			}
			got := r.take(t, 2)
			if server, client := got[0], got[1]; client.ParentID != nil || client.Kind != model.Client || server.ID != client.ID {
				t.Errorf("client %+v, server %+v", client, server)
			}
		})
	}
	within, cancel := context.WithCancel(WithRemote(t.Context(), model.SpanContext{TraceID: model.TraceID{Low: 7}, ID: 7}))
	defer cancel()
	_, _ = BeginTrace(zipkin.NeverSample)(func(ctx context.Context, _ any) (any, error) {
		if TraceID(ctx) != "0000000000000007" {
			t.Errorf("a call within a trace is in trace %q", TraceID(ctx))
		}
		return nil, nil
	})(within, nil)
}

// A stock go-kit server learns of a trace that nobody records that it is not
// recorded: zipkin-go does not read the single header over gRPC, and would
// begin a trace of its own.
func TestStockServerKeepsTheDecision(t *testing.T) {
	ctx := WithRemote(t.Context(), model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2, Sampled: new(false)})
	_ = InjectB3()(ctx, "/m", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		sc, err := zipkinb3.ExtractGRPC(&md)()
		if err != nil || sc.Sampled == nil || *sc.Sampled {
			t.Errorf("zipkin-go reads %+v, %v of %v", sc, err, md)
		}
		if sc, ok := b3.Extract(func(key string) string { return lastOf(md[key]) }); !ok || sc.TraceID.Low != 1 || sc.ID != 2 || *sc.Sampled {
			t.Errorf("we read %+v of %v", sc, md)
		}
		if !sc.TraceID.Empty() {
			t.Error("zipkin-go reads the single header over gRPC now: x-b3-sampled is not needed beside it")
		}
		return nil
	})
}
