// Package middleware holds the behaviours that every endpoint can wear, one
// per file. This file states the order in which both rings wear them.
package middleware

import (
	"log/slog"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
)

// ServerRing is what surrounds every method that an instance serves. Parts
// that are nil or zero are left out.
type ServerRing struct {
	Tracer   *zipkin.Tracer
	Metrics  *Metrics
	Logger   *slog.Logger
	Limit    endpoint.Middleware // one Limit, shared by all methods
	Deadline time.Duration       // for calls without one, and the longest allowed
	Faults   *Faults
	Work     endpoint.Middleware // one Work, shared by all methods
}

// Wrap puts the ring around the endpoint of a method. It is an
// endpoints.Wrapper. A request meets the parts from top to bottom:
//
//   - trace, measure and log are outermost, so that what the others refuse is
//     seen too, and within the trace, so that a line in the log has its id;
//   - recover is inside them: a panic is traced, counted and logged as the
//     failure it is;
//   - limit comes before the deadline and all work: refusing must be cheap;
//   - faults come before work: an injected failure stands for an instance that
//     broke, and costs no worker.
func (r ServerRing) Wrap(method string, e endpoint.Endpoint) endpoint.Endpoint {
	var measure, faults endpoint.Middleware
	if r.Metrics != nil {
		measure = r.Metrics.Server(method)
	}
	if r.Faults != nil {
		faults = r.Faults.Middleware
	}
	return chain(e,
		TraceServer(r.Tracer, method),
		measure,
		Log(r.Logger, method),
		Recover,
		r.Limit,
		Deadline(r.Deadline),
		faults,
		r.Work,
	)
}

// ClientRing is what surrounds every call to a target. Parts that are nil or
// zero are left out.
type ClientRing struct {
	Target   string // the called service, such as "catalog"
	Tracer   *zipkin.Tracer
	Metrics  *Metrics
	Deadline time.Duration                           // of a call, its retries included
	Guard    func(method string) endpoint.Middleware // Hystrix where a method has a fallback, else nil
}

// Call puts the outer half around a method's endpoint e, which retries and
// balances: measure → deadline → guard → e. The guard is outside the retry, so
// that its bulkhead bounds calls and its timeout their sum; measure is outside
// the guard and counts what the caller sees.
func (r ClientRing) Call(method string, e endpoint.Endpoint) endpoint.Endpoint {
	var measure, guard endpoint.Middleware
	if r.Metrics != nil {
		measure = r.Metrics.Client(r.Target, method)
	}
	if r.Guard != nil {
		guard = r.Guard(method)
	}
	return chain(e,
		measure,
		Deadline(r.Deadline),
		guard,
	)
}

// Try puts the inner half around the endpoint of one instance: trace → break
// → e. Every try is a span, the refused ones too. The breaker is innermost:
// only what the instance itself did may open it. A limit between them would
// count against the instance what the caller did to itself.
func (r ClientRing) Try(method string, b *Breaker, e endpoint.Endpoint) endpoint.Endpoint {
	var guard endpoint.Middleware
	if b != nil {
		guard = b.Middleware
	}
	return chain(e,
		TraceClient(r.Tracer, method),
		guard,
	)
}

// chain is endpoint.Chain that leaves out the nil ones: the first is outermost.
func chain(e endpoint.Endpoint, outermostFirst ...endpoint.Middleware) endpoint.Endpoint {
	for i := len(outermostFirst) - 1; i >= 0; i-- {
		if m := outermostFirst[i]; m != nil {
			e = m(e)
		}
	}
	return e
}
