package stock

import (
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	kitzipkin "github.com/go-kit/kit/tracing/zipkin"
	zipkingrpc "github.com/openzipkin/zipkin-go/middleware/grpc"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/middleware"
)

// Server puts the ring of addsvc's addendpoint.New around a method: limiter,
// trace, log, metrics from the inside out. It is an endpoints.Wrapper.
//
// addsvc wears a breaker here too, around the limiter. It is left out: it opens
// for every caller at once, for a minute, as soon as six of them in a row lose
// patience, and one such breaker would decide the comparison.
func (s *Stack) Server(method string, e endpoint.Endpoint) endpoint.Endpoint {
	if s.opts.Work != nil {
		e = s.opts.Work(e)
	}
	if s.opts.Faults != nil {
		e = s.opts.Faults.Middleware(e)
	}
	if s.limiter != nil {
		e = ratelimit.NewErroringLimiter(s.limiter)(e)
	}
	if s.opts.Tracer != nil {
		e = kitzipkin.TraceEndpoint(s.opts.Tracer, method)(e)
	}
	// Logging is the shop's: addsvc's writes a line per request, and the
	// comparison is not about that.
	e = middleware.Log(s.opts.Logger, method)(e)
	return s.metrics.server(method)(e)
}

// ServerOptions are those of the gRPC server: the place of addsvc's
// GRPCServerTrace, which is an option of kit's servers, one per method.
func (s *Stack) ServerOptions() []grpc.ServerOption {
	if s.opts.Tracer == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(zipkingrpc.NewServerHandler(s.opts.Tracer))}
}
