package broker

import (
	"context"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// headerB3 carries the trace context of the writer to the readers of an event.
const headerB3 = "b3"

// remote is the broker in Zipkin's dependency graph.
var remote = &model.Endpoint{ServiceName: "nats"}

// messageSpan is a span around one message, or nothing: its methods then do
// nothing.
type messageSpan struct {
	span zipkin.Span
	b3   string // what travels in the message; "" when there is no trace
	held bool   // reported by finish only; dropped without it
}

// startProducer starts a PRODUCER span below the span in ctx, if that one is
// sampled. An unsampled trace travels on without one.
func (c *Client) startProducer(ctx context.Context, name string) messageSpan {
	parent := zipkin.SpanFromContext(ctx)
	if parent == nil || parent.Context().TraceID.Empty() {
		return messageSpan{}
	}
	sc := parent.Context()
	if c.opts.Tracer == nil || !sampled(sc) {
		return messageSpan{b3: b3.Single(sc)}
	}
	span := c.opts.Tracer.StartSpan(name,
		zipkin.Kind(model.Producer), zipkin.Parent(sc), zipkin.RemoteEndpoint(remote))
	return messageSpan{span: span, b3: b3.Single(span.Context())}
}

// startConsumer starts a CONSUMER span below the writer's, and returns a
// context with it. Nothing is reported before finish.
func (c *Client) startConsumer(ctx context.Context, name, header string) (context.Context, messageSpan) {
	sc, ok := b3.ParseSingle(header)
	if c.opts.Tracer == nil || !ok || sc.ID == 0 {
		return ctx, messageSpan{}
	}
	span := c.opts.Tracer.StartSpan(name,
		zipkin.Kind(model.Consumer), zipkin.Parent(sc), zipkin.RemoteEndpoint(remote), zipkin.FlushOnFinish(false))
	return zipkin.NewContext(ctx, span), messageSpan{span: span, held: true}
}

func (s messageSpan) tag(k, v string) {
	if s.span != nil {
		s.span.Tag(k, v)
	}
}

// finish ends and reports the span; a failed one carries the fault's code.
func (s messageSpan) finish(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		zipkin.TagError.Set(s.span, string(fault.CodeOf(err)))
	}
	s.span.Finish()
	if s.held {
		s.span.Flush()
	}
}

func sampled(sc model.SpanContext) bool {
	return sc.Debug || sc.Sampled != nil && *sc.Sampled
}
