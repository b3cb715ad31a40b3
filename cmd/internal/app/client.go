package app

import (
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// ClientOption adjusts the ring around the calls to one service.
type ClientOption func(*middleware.ClientRing)

// hedged are the methods whose slow calls are overtaken, by service: quick reads
// that others wait for.
var hedged = map[string][]string{"pricing": {"pricing.Quote"}}

// callDeadline bounds each call, its retries included.
const callDeadline = 5 * time.Second

// Client returns what makes the endpoints of a called service. Each is balanced,
// broken and retried over the instances of the one target they share.
func (a *App) Client(service string, opts ...ClientOption) rpc.Dialer {
	if a.stock != nil {
		return a.stock.Client(service) // its ring has no place for options
	}
	ring := middleware.ClientRing{Target: service, Sampler: a.sampler, Metrics: a.Metrics, Deadline: callDeadline}
	for _, set := range opts {
		set(&ring)
	}
	t := a.mesh.Target(service)
	return func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		return ring.Call(method, t.Endpoint(method, dial))
	}
}
