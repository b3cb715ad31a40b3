package middleware

import (
	"context"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
)

// WithRemote returns a context within the trace of a remote caller. Spans
// started from it continue that trace; TraceServer joins the caller's span.
func WithRemote(ctx context.Context, sc model.SpanContext) context.Context {
	return &remoteContext{ctx, remoteSpan{sc}}
}

// remoteContext is zipkin.NewContext(ctx, span) and span in one allocation,
// since it is made for every call.
type remoteContext struct {
	context.Context
	span remoteSpan
}

// Value answers for the span and leaves every other key to the parent.
func (c *remoteContext) Value(key any) any {
	if key == zipkinKey {
		return &c.span
	}
	return c.Context.Value(key)
}

// zipkinKey is what zipkin-go asks a context for, by which it learns the span.
var zipkinKey = func() any {
	var asked keys
	zipkin.SpanFromContext(&asked)
	return asked.last
}()

// keys is a context that remembers what it was asked for.
type keys struct {
	context.Context
	last any
}

func (k *keys) Value(key any) any {
	k.last = key
	return nil
}

// remoteSpan stands for the caller's span in our context. It is recorded on
// the other side, so that every method but Context does nothing.
type remoteSpan struct{ sc model.SpanContext }

func (s *remoteSpan) Context() model.SpanContext       { return s.sc }
func (*remoteSpan) SetName(string)                     {}
func (*remoteSpan) SetRemoteEndpoint(*model.Endpoint)  {}
func (*remoteSpan) Annotate(time.Time, string)         {}
func (*remoteSpan) Tag(string, string)                 {}
func (*remoteSpan) Finish()                            {}
func (*remoteSpan) FinishedWithDuration(time.Duration) {}
func (*remoteSpan) Flush()                             {}
