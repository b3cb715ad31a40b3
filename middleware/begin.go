package middleware

import (
	"context"
	"math/rand/v2"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
)

// The two decisions. They are never written to.
var recorded, unrecorded = new(true), new(false)

// BeginTrace decides about the traces that begin here whether they are
// recorded, before anything is spent on them: zipkin-go builds the whole span
// first and asks its sampler then. A trace that is not recorded gets an id
// nevertheless, for logs and error bodies, and travels as such. Calls within a
// trace pass through. A nil sampler leaves the decision to the tracer.
func BeginTrace(sampler zipkin.Sampler) endpoint.Middleware {
	if sampler == nil {
		return through
	}
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if zipkin.SpanFromContext(ctx) == nil {
				ctx = begin(ctx, sampler)
			}
			return next(ctx, request)
		}
	}
}

func begin(ctx context.Context, sampler zipkin.Sampler) context.Context {
	id := model.TraceID{High: rand.Uint64(), Low: rand.Uint64() | 1} // no half may be zero, and Low names the span, too
	if sampler(id.Low) {
		return WithRemote(ctx, model.SpanContext{Sampled: recorded}) // the tracer makes the ids of spans that there are
	}
	return WithRemote(ctx, model.SpanContext{TraceID: id, ID: model.ID(id.Low), Sampled: unrecorded})
}
