package stock

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	"github.com/go-kit/kit/sd"
	consulsd "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/kit/sd/lb"
	zipkingrpc "github.com/openzipkin/zipkin-go/middleware/grpc"
	"github.com/sony/gobreaker"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

const (
	retryMax = 3 // apigateway's -retry.max and profilesvc/client's retryMax
	// openFor is what addsvc's client gives its breaker (Sum); gobreaker's own
	// default is a minute.
	openFor = 30 * time.Second
	// clientRate is the limit that addsvc's client has inside its breaker, per
	// instance. addsvc's 1/s after a burst of 100 is a demonstration; this one is
	// out of the shop's reach.
	clientRate = 10_000
)

// Client returns what makes the endpoints of a called service: per method an
// endpointer over one watch of the service, round robin, and Retry. It asks
// Consul once before it returns, as NewInstancer does.
func (s *Stack) Client(service string) rpc.Dialer {
	// apigateway: one instancer per service, passing instances only.
	instancer := consulsd.NewInstancer(s.sd, s.log, service, nil, true)
	s.onClose(instancer.Stop)
	c := s.call(service)
	return func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		endpointer := sd.NewEndpointer(instancer, s.factory(c, method, dial), s.log)
		s.onClose(endpointer.Close)
		retry := s.retry(c, lb.NewRoundRobin(endpointer))
		return s.metrics.client(service, method)(plain(retry))
	}
}

// retry is lb.Retry(retryMax, timeout, balancer), counting as it goes.
func (s *Stack) retry(c *called, balancer lb.Balancer) endpoint.Endpoint {
	retry := lb.RetryWithCallback(s.opts.Timeout, balancer, func(n int, _ error) (bool, error) {
		again := n < retryMax
		if again {
			c.retries.Add(1)
			s.metrics.retries.With("target", c.service).Add(1)
		}
		return again, nil
	})
	return func(ctx context.Context, request any) (any, error) {
		c.calls.Add(1)
		return retry(ctx, request)
	}
}

// factory dials an instance for one method, as apigateway's does ("a smarter
// factory would mux multiple methods over the same connection"), and wears the
// ring of addsvc's NewGRPCClient: trace, limiter, breaker from the inside out.
func (s *Stack) factory(c *called, method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) sd.Factory {
	return func(instance string) (endpoint.Endpoint, io.Closer, error) {
		opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
		if s.opts.Tracer != nil {
			// addsvc's GRPCClientTrace is an option of kit's gRPC client, which
			// transports/rpc does without; this is zipkin-go's own for the stub.
			opts = append(opts, grpc.WithStatsHandler(
				zipkingrpc.NewClientHandler(s.opts.Tracer, zipkingrpc.WithRemoteServiceName(c.service))))
		}
		conn, err := grpc.NewClient(instance, opts...)
		if err != nil {
			return nil, nil, err
		}
		m := c.member(instance)
		breaker := gobreaker.NewCircuitBreaker(gobreaker.Settings{Name: method, Timeout: openFor})
		e := m.sent(answered(dial(conn)))
		e = ratelimit.NewErroringLimiter(rate.NewLimiter(clientRate, clientRate))(e)
		e = circuitbreaker.Gobreaker(breaker)(e)
		return e, m.open(conn, breaker), nil
	}
}

// plain gives errors back the identity that RetryError, which has no Unwrap,
// hides: what addsvc's errorEncoder would have to do for its status codes.
func plain(e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := unanswered(e)(ctx, request)
		if all, ok := errors.AsType[lb.RetryError](err); ok {
			err = all.Final
		}
		if errors.Is(err, lb.ErrNoEndpoints) {
			return nil, fault.Wrap(fault.Unavailable, err, "no instance is known")
		}
		return response, rpc.Fault(err)
	}
}
