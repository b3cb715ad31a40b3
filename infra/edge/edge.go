package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/reporter"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/telemetry"
)

// Edge is a front door that listens.
type Edge struct {
	opts      Options
	log       *slog.Logger
	listener  net.Listener
	server    *http.Server
	admin     *telemetry.Server
	health    telemetry.Health
	target    *target.Target
	transport *http.Transport
	cleanup   []func() // run last in, first out
}

// New listens on both addresses and starts to follow the service. Run serves.
// Close ends an Edge, run or not.
func New(o Options) (_ *Edge, err error) {
	o = o.withDefaults()
	e := &Edge{opts: o, log: o.Logger}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	registry := telemetry.NewRegistry()
	if e.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("listen on --addr: %w", err)
	}
	e.defers(func() { _ = e.listener.Close() })
	tracer, err := e.trace(registry)
	if err != nil {
		return nil, err
	}
	if err := e.follow(registry); err != nil {
		return nil, err
	}
	e.transport = newTransport()
	e.defers(e.transport.CloseIdleConnections)
	l := o.Limits
	h := newHandler(o, e.target, e.transport, tracer, newMetrics(registry))
	registry.MustRegister(h.places)
	e.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: l.HeaderTime,
		IdleTimeout:       l.IdleTime,
		WriteTimeout:      l.WriteTime,
		// The handler answers over-long headers with a problem document; this is
		// where net/http stops to read them.
		MaxHeaderBytes: 4 * l.Header,
		ErrorLog:       slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	e.defers(func() { _ = e.server.Close() })
	return e, e.listenAdmin(registry, h.places)
}

func (e *Edge) defers(f func()) { e.cleanup = append(e.cleanup, f) }

// trace makes the tracer, which reports nothing without a Zipkin.
func (e *Edge) trace(registry *prometheus.Registry) (*zipkin.Tracer, error) {
	var spans reporter.Reporter
	if e.opts.Zipkin != "" {
		r, err := telemetry.NewReporter(e.opts.Zipkin, telemetry.ReporterOptions{Registerer: registry, Logger: e.log})
		if err != nil {
			return nil, err
		}
		e.defers(func() { _ = r.Close() })
		spans = r
	}
	return telemetry.NewTracer("edge", "", e.Addr(), spans, telemetry.Sampling{Share: e.opts.Sample, PerSecond: e.opts.SampleLimit})
}

// follow makes the target that finds and balances the instances.
func (e *Edge) follow(registry *prometheus.Registry) error {
	source := e.opts.Source
	if source == nil {
		client, err := consul.Client(e.opts.Consul, "")
		if err != nil {
			return err
		}
		watch := discovery.New(client, e.opts.Service, discovery.Options{Logger: e.log})
		e.defers(watch.Stop)
		source = watch
	}
	e.target = target.New(target.Options{
		Service: e.opts.Service, Source: source, Metrics: target.NewMetrics(registry), Logger: e.log,
		Drain:     time.Second, // requests have had theirs when the target closes
		Retry:     target.Retry{Max: maxTries},
		FirstWait: 2 * time.Second, // right after start-up Consul may take its time
	})
	e.defers(func() { _ = e.target.Close() })
	return nil
}

func (e *Edge) listenAdmin(registry *prometheus.Registry, places http.Handler) error {
	e.health.Add(e.opts.Service, e.ready)
	page := telemetry.NewAdmin(telemetry.AdminOptions{Registry: registry, Ready: e.health.Summary})
	page.Handle("GET /mesh", target.Handler(func() []*target.Target { return []*target.Target{e.target} }))
	page.Handle("GET /limit", places)
	var err error
	if e.admin, err = telemetry.NewServer(e.opts.Admin, page); err != nil {
		return fmt.Errorf("serve on --admin: %w", err)
	}
	e.admin.Drain = time.Second
	e.defers(func() { _ = e.admin.Close() })
	return nil
}

// ready says whether customers can be served.
func (e *Edge) ready(context.Context) (string, error) {
	report := e.target.Report()
	if len(report.Members) == 0 {
		return "", fmt.Errorf("no instance is known")
	}
	return fmt.Sprintf("%d instances", len(report.Members)), nil
}

// Addr is the host:port that the front door really listens on.
func (e *Edge) Addr() string { return e.listener.Addr().String() }

// AdminAddr is the host:port of the admin pages.
func (e *Edge) AdminAddr() string { return e.admin.Addr() }

// Run serves until ctx ends, finishes the requests under way within
// Limits.Drain, cuts the rest and returns nil. It returns early when one of its
// ports fails.
func (e *Edge) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	admin, public := make(chan error, 1), make(chan error, 1)
	go func() { admin <- e.admin.Run(adminCtx) }()
	go func() { public <- e.server.Serve(e.listener) }()
	e.log.Info("the front door is open", "addr", e.Addr(), "admin", e.AdminAddr(), "service", e.opts.Service)

	var failed error
	select {
	case err := <-public:
		failed = fmt.Errorf("serve on %s: %w", e.Addr(), err)
	case err := <-admin:
		failed = errors.Join(err, errors.New("the admin port closed"))
		admin <- nil
	case <-ctx.Done():
	}
	e.drain(ctx)
	stopAdmin()
	return errors.Join(failed, <-admin)
}

// drain lets the requests under way end; /readyz says so meanwhile.
func (e *Edge) drain(ctx context.Context) {
	e.health.Report("edge", "", errors.New("draining"))
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.Limits.Drain)
	defer cancel()
	if err := e.server.Shutdown(bound); err != nil {
		e.log.Warn("requests were cut off at the end", "error", err)
		_ = e.server.Close()
	}
}

// Close ends everything New began. Spans are flushed last, for at most 2 s.
func (e *Edge) Close() {
	for _, v := range slices.Backward(e.cleanup) {
		v()
	}
	e.cleanup = nil
}
