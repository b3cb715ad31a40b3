// Package middleware holds the behaviours that every endpoint can wear, one
// per file. This file states the order in which both rings wear them.
package middleware

import (
	"log/slog"
	"slices"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
)

// ServerRing is what surrounds every method that an instance serves. Parts
// that are nil or zero are left out.
type ServerRing struct {
	Tracer    *zipkin.Tracer
	Sampler   zipkin.Sampler // of traces that begin here; nil: the Tracer's own
	Metrics   *Metrics
	Logger    *slog.Logger
	Limit     endpoint.Middleware // one Limit, shared by all methods
	Priority  map[string]Priority // of methods, where requests enter the mesh; the others inherit
	Shed      *Shed               // one for all methods
	Assembles bool                // the service notes answers without a part that others shed (Incomplete)
	Deadline  time.Duration       // for calls without one, and the longest allowed
	Faults    *Faults
	Work      endpoint.Middleware // one Work, shared by all methods
}

// Wrap puts the ring around the endpoint of a method. It is an
// endpoints.Wrapper. A request meets the parts from top to bottom:
//
//   - trace, measure and log are outermost, so that what the others refuse is
//     seen too, and within the trace, so that a line in the log has its id;
//   - recover is inside them: a panic is traced, counted and logged as the
//     failure it is;
//   - limit and shed come before the deadline and all work: refusing must be
//     cheap. Shed knows the priority by then, and is around everything that takes
//     time, because time is what it judges by;
//   - faults come before work: an injected failure stands for an instance that
//     broke, and costs no worker.
func (r ServerRing) Wrap(method string, e endpoint.Endpoint) endpoint.Endpoint {
	var measure, priority, faults endpoint.Middleware
	if r.Metrics != nil {
		measure = r.Metrics.Server(method)
	}
	if p, ok := r.Priority[method]; ok {
		priority = Prioritise(p)
	}
	if r.Faults != nil {
		faults = r.Faults.Middleware
	}
	return chain(e,
		BeginTrace(r.Sampler),
		TraceServer(r.Tracer, method),
		measure,
		Log(r.Logger, method),
		Recover,
		r.Limit,
		priority,
		r.Shed.middleware(method, r.Assembles),
		Deadline(r.Deadline),
		faults,
		r.Work,
	)
}

// ClientRing is what surrounds every call to a target. Parts that are nil or
// zero are left out.
type ClientRing struct {
	Target   string         // the called service, such as "catalog"
	Sampler  zipkin.Sampler // of traces that begin with a call, such as a timer's; nil: the tracer's own
	Metrics  *Metrics
	Deadline time.Duration                           // of a call, its retries included
	Guard    func(method string) endpoint.Middleware // Hystrix where a method has a fallback, else nil
}

// Call puts the outer half around a method's endpoint e, which retries and
// balances: begin → measure → deadline → guard → e. The guard is outside the retry, so
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
		BeginTrace(r.Sampler),
		measure,
		Deadline(r.Deadline),
		guard,
	)
}

// The inner half is put around each instance by infra/mesh/target, once per
// try: break → trace (TraceClient) → connection. A refused try never leaves the
// breaker, and the target picks another instance; only what the instance itself
// did may open it, so no limit stands between them.

// chain is endpoint.Chain that leaves out the nil ones: the first is outermost.
func chain(e endpoint.Endpoint, outermostFirst ...endpoint.Middleware) endpoint.Endpoint {
	for _, m := range slices.Backward(outermostFirst) {
		if m != nil {
			e = m(e)
		}
	}
	return e
}
