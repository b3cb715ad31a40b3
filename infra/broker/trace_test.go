package broker_test

import (
	"context"
	"testing"
	"time"

	kitnats "github.com/go-kit/kit/transport/nats"
	"github.com/nats-io/nats.go"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/reporter/recorder"

	"github.com/kitmesh/kitmesh/infra/broker"
)

// TestTraceTravelsInHeaders follows one trace from the writer's request through
// the broker into the work of the consumer.
func TestTraceTravelsInHeaders(t *testing.T) {
	spans := recorder.NewReporter()
	t.Cleanup(func() { _ = spans.Close() })
	tracer, err := zipkin.NewTracer(spans)
	if err != nil {
		t.Fatal(err)
	}
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	j := open(t, connect(t, s.URL(), broker.Options{Tracer: tracer}), "orders")

	put(t, j, "untraced")
	root, ctx := tracer.StartSpanFromContext(t.Context(), "place")
	for _, key := range []string{"work", "ignored"} {
		if _, err := j.Append(ctx, key, "", nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	root.Finish()
	no := false
	off := zipkin.NewContext(t.Context(), tracer.StartSpan("off", zipkin.Parent(model.SpanContext{
		TraceID: model.TraceID{Low: 7}, ID: 8, Sampled: &no})))
	if _, err := j.Append(off, "unsampled", "", nil, 0); err != nil {
		t.Fatal(err)
	}

	var inside tally
	var seen tally
	background(t, func(ctx context.Context) error {
		return j.Consume(ctx, "worker", nil, func(ctx context.Context, key string, _ uint64, _ []byte) error {
			defer seen.add(key)
			if key == "ignored" {
				return postponed(0)
			}
			if sp := zipkin.SpanFromContext(ctx); sp != nil && sp.Context().TraceID == root.Context().TraceID {
				inside.add(key)
			}
			return nil
		})
	})
	for _, key := range []string{"untraced", "work", "ignored", "unsampled"} {
		eventually(t, key, func() bool { return seen.of(key) == 1 })
	}
	var all []model.SpanModel
	eventually(t, "four spans", func() bool { all = append(all, spans.Flush()...); return len(all) >= 4 })
	if inside.of("work") != 1 || inside.of("untraced") != 0 {
		t.Error("the handler's context does not carry the writer's trace")
	}
	kinds := map[model.Kind][]model.SpanModel{}
	for _, sp := range all {
		kinds[sp.Kind] = append(kinds[sp.Kind], sp)
		if sp.TraceID != root.Context().TraceID {
			t.Errorf("span %q has a trace of its own", sp.Name)
		}
		if sp.Kind != model.Undetermined && (sp.RemoteEndpoint == nil || sp.RemoteEndpoint.ServiceName != "nats") {
			t.Errorf("span %q does not name the broker", sp.Name)
		}
	}
	if len(all) != 4 || len(kinds[model.Producer]) != 2 || len(kinds[model.Consumer]) != 1 {
		t.Fatalf("spans: %d, of which producers %d, consumers %d; want 4, 2, 1", len(all), len(kinds[model.Producer]), len(kinds[model.Consumer]))
	}
	consumer := kinds[model.Consumer][0]
	if consumer.ParentID == nil || *consumer.ParentID != kinds[model.Producer][0].ID {
		t.Error("the consumer's span is not below the producer's")
	}
}

// Stock transport/nats sends the data of a message without its headers, so no
// trace context can travel; TestTraceTravelsInHeaders shows ours.
func TestStockPublisherDropsHeaders(t *testing.T) {
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("orders")
	if err != nil {
		t.Fatal(err)
	}
	publish := kitnats.NewPublisher(nc, "orders",
		func(_ context.Context, m *nats.Msg, _ any) error {
			m.Header, m.Data = nats.Header{"b3": {"1"}}, []byte("x")
			return nil
		},
		func(context.Context, *nats.Msg) (any, error) { return nil, nil }, kitnats.PublisherTimeout(time.Second)).Endpoint()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = publish(context.Background(), nil) }()
	got, err := sub.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("b3") != "" {
		t.Error("stock transport/nats sends headers now")
	}
	_ = got.Respond(nil)
	<-done
}
