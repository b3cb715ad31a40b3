// Package stock is the other stack: the shop as a careful user of go-kit builds
// it from go-kit's own parts and examples, for comparison with the mesh. The
// services, endpoints, transports and the broker are the same; discovery,
// registration and the rings around the endpoints are stock.
//
// Each choice follows github.com/go-kit/examples (apigateway, profilesvc,
// addsvc), named where it is made. Where the examples show a demonstration
// value that would break the shop (a rate of one per second), the kinder one is
// here; where they show nothing (registration), what their users really write.
package stock

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/kit/endpoint"
	consulsd "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/log"
	"github.com/hashicorp/consul/api"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/kitmesh/kitmesh/middleware"
)

// Options configures a Stack. Only Consul is needed.
type Options struct {
	Consul   string         // URL
	Tracer   *zipkin.Tracer // nil traces nothing
	Registry prometheus.Registerer
	Logger   *slog.Logger
	Timeout  time.Duration // of a call, its tries included; 500 ms, as apigateway has it, if 0
	// RateLimit is how many requests per second the instance accepts; 0 is no limit.
	RateLimit float64
	// Faults and Work are what the instance itself is like, not its ring.
	Faults *middleware.Faults
	Work   endpoint.Middleware
}

// Stack makes the rings of one process. It is safe for concurrent use.
type Stack struct {
	opts    Options
	sd      consulsd.Client
	log     log.Logger
	metrics *metrics
	limiter *rate.Limiter // nil: no limit

	mu      sync.Mutex
	called  []*called
	cleanup []func() // run last in, first out
}

// New returns a Stack. It contacts nobody.
func New(o Options) (*Stack, error) {
	if o.Timeout <= 0 {
		o.Timeout = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	// profilesvc/client: the client of the API as it comes, without timeouts.
	client, err := api.NewClient(&api.Config{Address: o.Consul})
	if err != nil {
		return nil, fmt.Errorf("consul %s: %w", o.Consul, err)
	}
	s := &Stack{
		opts: o, sd: consulsd.NewClient(client), log: logger(o.Logger), metrics: newMetrics(o.Registry),
	}
	if o.RateLimit > 0 {
		s.limiter = rate.NewLimiter(rate.Limit(o.RateLimit), max(1, int(o.RateLimit)))
	}
	return s, nil
}

// Close ends the discovery of every Client. As go-kit has it, connections stay
// open and a blocked query ends when Consul answers: with the process.
func (s *Stack) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
	s.cleanup = nil
}

func (s *Stack) onClose(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanup = append(s.cleanup, f)
}

// logger lets go-kit's parts write to the process's log.
func logger(to *slog.Logger) log.Logger {
	return log.LoggerFunc(func(keyvals ...any) error {
		to.Info("go-kit", keyvals...)
		return nil
	})
}
