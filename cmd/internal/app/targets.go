package app

import (
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// ClientOption adjusts the calls to one target.
type ClientOption func(*middleware.ClientRing, *target.Options)

// WithDeadline bounds each call, its retries included; 5 s without it.
func WithDeadline(d time.Duration) ClientOption {
	return func(r *middleware.ClientRing, _ *target.Options) { r.Deadline = d }
}

// Client returns what makes the endpoints of a called service: each discovers,
// balances, breaks and retries through the one target they share.
func (a *App) Client(service string, opts ...ClientOption) rpc.Dialer {
	ring := middleware.ClientRing{Target: service, Tracer: a.Tracer, Metrics: a.Metrics, Deadline: 5 * time.Second}
	o := target.Options{
		Service:     service,
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(middleware.InjectB3())},
		Metrics:     a.targetMetrics,
		Logger:      a.Logger,
	}
	for _, set := range opts {
		set(&ring, &o)
	}
	o.PerTry = func(method string) endpoint.Middleware { return middleware.TraceClient(a.Tracer, method) }
	t := a.open(o)
	return func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		return ring.Call(method, t.Endpoint(method, dial))
	}
}

// open starts to follow a service's instances and to keep connections to them.
func (a *App) open(o target.Options) *target.Target {
	source := discovery.New(a.consul, o.Service, discovery.Options{Logger: a.Logger})
	o.Source = source
	t := target.New(o)
	a.targets = append(a.targets, t)
	a.cleanup = append(a.cleanup, source.Stop, func() { _ = t.Close() })
	return t
}
