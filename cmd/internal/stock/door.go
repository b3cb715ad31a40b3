package stock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	consulsd "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/kit/sd/lb"
	"github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/middleware/http"
	"github.com/openzipkin/zipkin-go/reporter"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/edge"
	"github.com/kitmesh/kitmesh/infra/telemetry"
)

// Door is the front door that go-kit users have: the standard library's reverse
// proxy, round robin over the gateways that Consul holds for passing. It tries
// once; ReverseProxy does not repeat.
type Door struct {
	listener net.Listener
	server   *http.Server
	admin    *telemetry.Server
	cleanup  []func() // run last in, first out
}

// NewDoor listens on both addresses of o. Run serves; Close ends a Door, run or
// not. Of o's limits none applies.
func NewDoor(o edge.Options) (_ *Door, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Door{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("listen on --addr: %w", err)
	}
	d.defers(func() { _ = d.listener.Close() })
	registry := telemetry.NewRegistry()
	tracer, err := d.tracer(o, registry)
	if err != nil {
		return nil, err
	}
	stack, err := New(Options{Consul: o.Consul, Tracer: tracer, Registry: registry, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	d.defers(stack.Close)
	proxy, err := stack.proxy(o.Service)
	if err != nil {
		return nil, err
	}
	d.server = &http.Server{
		Handler:           zipkinhttp.NewServerMiddleware(tracer)(proxy),
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
	}
	d.defers(func() { _ = d.server.Close() })
	page := telemetry.NewAdmin(telemetry.AdminOptions{Registry: registry})
	page.Handle("GET /mesh", stack.Handler())
	if d.admin, err = telemetry.NewServer(o.Admin, page); err != nil {
		return nil, fmt.Errorf("serve on --admin: %w", err)
	}
	d.defers(func() { _ = d.admin.Close() })
	return d, nil
}

func (d *Door) defers(f func()) { d.cleanup = append(d.cleanup, f) }

// tracer samples as the mesh's edge does, so that both stacks record the same.
func (d *Door) tracer(o edge.Options, registry *prometheus.Registry) (*zipkin.Tracer, error) {
	var spans reporter.Reporter
	if o.Zipkin != "" {
		r, err := telemetry.NewReporter(o.Zipkin, telemetry.ReporterOptions{Registerer: registry, Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		d.defers(func() { _ = r.Close() })
		spans = r
	}
	return telemetry.NewTracer("edge", "", d.Addr(), spans, telemetry.Sampling{Share: o.Sample, PerSecond: o.SampleLimit})
}

// proxy is the reverse proxy over the instances of a service.
func (s *Stack) proxy(service string) (http.Handler, error) {
	transport, err := zipkinhttp.NewTransport(s.opts.Tracer, zipkinhttp.RoundTripper(s.roundTripper(service)))
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", service // the balancer names the instance
			p.SetXForwarded()
		},
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}, nil
}

// roundTripper balances requests over the instances of a service.
func (s *Stack) roundTripper(service string) http.RoundTripper {
	// http.DefaultTransport, but for its two idle connections per host: a proxy
	// needs more.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	s.onClose(transport.CloseIdleConnections)
	c := s.call(service)
	factory := func(instance string) (endpoint.Endpoint, io.Closer, error) {
		m := c.member(instance)
		return m.sent(func(_ context.Context, request any) (any, error) {
			r := request.(*http.Request)
			r.URL.Host = instance
			return transport.RoundTrip(r) //nolint:bodyclose // ReverseProxy's to close
		}), m.open(io.NopCloser(nil), nil), nil
	}
	instancer := consulsd.NewInstancer(s.sd, s.log, service, nil, true)
	s.onClose(instancer.Stop)
	endpointer := sd.NewEndpointer(instancer, factory, s.log)
	s.onClose(endpointer.Close)
	return tripper{lb.NewRoundRobin(endpointer), c}
}

type tripper struct {
	lb.Balancer
	called *called
}

// RoundTrip asks the next instance.
func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	t.called.calls.Add(1)
	e, err := t.Endpoint()
	if err != nil {
		return nil, err
	}
	response, err := e(r.Context(), r.Clone(r.Context()))
	if err != nil {
		return nil, err
	}
	return response.(*http.Response), nil
}

// Addr is the host:port that the front door really listens on.
func (d *Door) Addr() string { return d.listener.Addr().String() }

// AdminAddr is the host:port of the admin pages.
func (d *Door) AdminAddr() string { return d.admin.Addr() }

// Run serves until ctx ends, lets the requests under way end within 7 s and
// returns nil. It returns early when one of its ports fails.
func (d *Door) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	admin, public := make(chan error, 1), make(chan error, 1)
	go func() { admin <- d.admin.Run(ctx) }()
	go func() { public <- d.server.Serve(d.listener) }()
	var failed error
	select {
	case failed = <-public:
	case failed = <-admin:
		admin <- nil
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 7*time.Second)
	defer cancel()
	if d.server.Shutdown(bound) != nil {
		_ = d.server.Close()
	}
	stop()
	return errors.Join(failed, <-admin)
}

// Close ends everything NewDoor began.
func (d *Door) Close() {
	for _, f := range slices.Backward(d.cleanup) {
		f()
	}
	d.cleanup = nil
}
