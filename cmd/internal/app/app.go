// Package app is what the seven services' programs have in common: it reads the
// configuration, makes the parts that main builds its onion from, and runs and
// ends them in order.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/cmd/internal/stock"
	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consul"
	"github.com/kitmesh/kitmesh/infra/telemetry"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// App is one instance of a service.
type App struct {
	Config  Config
	Logger  *slog.Logger
	Tracer  *zipkin.Tracer
	Metrics *middleware.Metrics
	Health  *telemetry.Health

	bareLogger *slog.Logger // for parts that name the instance themselves

	registry *prometheus.Registry
	consul   *consulapi.Client
	broker   *broker.Client // nil until a journal is asked for
	mesh     *mesh.Mesh
	stock    *stock.Stack // takes the mesh's place with --stack stock, else nil
	faults   middleware.Faults
	sampler  zipkin.Sampler   // of traces that begin here
	shed     *middleware.Shed // nil: nothing is shed
	admin    *telemetry.Admin

	listener    net.Listener // of the rpc address
	adminServer *telemetry.Server
	advertised  string // host:port of rpc, as others reach it
	adminHost   string // host:port of admin, as others reach it
	rpc         *grpc.Server
	public      http.Handler // replaces gRPC on the rpc address where set

	background []task
	cleanup    []func() // run last in, first out
}

type task struct {
	name string
	run  func(context.Context) error
}

// Main runs one instance of service until SIGTERM or SIGINT. build makes the
// onion: the service in its endpoints in its transports. Main does not return:
// the process ends with 0, with 1 if it could not run, with 2 for bad flags.
func Main(service string, build func(*App) error) {
	c, err := parse(service, os.Args[1:], os.Getenv, os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v; -h lists the flags\n", service, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, c, build); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", service, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, c Config, build func(*App) error) error {
	a, err := New(c)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := build(a); err != nil {
		return err
	}
	return a.Run(ctx)
}

// New makes the parts of one instance; it listens, but serves nobody yet. Close
// ends what Run does not.
func New(c Config) (_ *App, err error) {
	a := &App{Config: c, Health: &telemetry.Health{}, registry: telemetry.NewRegistry()}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.bareLogger, err = telemetry.NewLogger(os.Stderr, c.LogLevel, c.LogFormat); err != nil {
		return nil, err
	}
	a.Logger = a.bareLogger.With("service", c.Service, "instance", c.ID)
	a.Metrics = middleware.NewMetrics(a.ownMetrics())
	a.limit()
	if a.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", c.RPC); err != nil {
		return nil, fmt.Errorf("serve on --rpc: %w", err)
	}
	a.cleanup = append(a.cleanup, func() { _ = a.listener.Close() })
	if a.advertised = c.AdvertiseRPC; a.advertised == "" {
		if a.advertised, err = advertised(c.Advertise, a.listener.Addr().String()); err != nil {
			return nil, err
		}
	}
	if c.Faults != "" {
		if err := a.faults.SetJSON(strings.NewReader(c.Faults)); err != nil {
			return nil, fmt.Errorf("--faults: %w", err)
		}
	}
	if c.Experiments {
		a.faults.Service = c.Service
	}
	if err := a.trace(); err != nil {
		return nil, err
	}
	if a.consul, err = consul.Client(c.Consul, ""); err != nil {
		return nil, err
	}
	if err := a.join(); err != nil {
		return nil, err
	}
	if err := a.listenAdmin(); err != nil {
		return nil, err
	}
	a.rpc = grpc.NewServer(a.serverOptions()...)
	return a, nil
}

// trace makes the tracer, which reports nothing without a Zipkin.
func (a *App) trace() error {
	var spans *telemetry.Reporter // a nil one is off
	if a.Config.Zipkin != "" {
		var err error
		spans, err = telemetry.NewReporter(a.Config.Zipkin, telemetry.ReporterOptions{Registerer: a.registry, Logger: a.Logger})
		if err != nil {
			return err
		}
		a.OnClose(func() { _ = spans.Close() })
	}
	sampling := telemetry.Sampling{Share: a.Config.Sample}
	if spans == nil {
		sampling.Share = 0
	}
	var err error
	if a.sampler, err = telemetry.NewSampler(sampling); err != nil {
		return err
	}
	a.Tracer, err = telemetry.NewTracer(a.Config.Service, a.Config.ID, a.advertised, spans, sampling)
	return err
}

func (a *App) listenAdmin() error {
	a.admin = telemetry.NewAdmin(telemetry.AdminOptions{Registry: a.registry, Ready: a.Health.Summary})
	a.admin.Handle("/faults", a.faults.Handler())
	a.admin.Handle("GET /mesh", a.meshPage())
	if a.shed != nil {
		a.admin.Handle("GET /limit", a.shed)
	}
	var err error
	a.adminServer, err = telemetry.NewServer(a.Config.Admin, a.admin)
	if err != nil {
		return fmt.Errorf("serve on --admin: %w", err)
	}
	a.cleanup = append(a.cleanup, func() { _ = a.adminServer.Close() })
	a.adminHost, err = advertised(a.Config.Advertise, a.adminServer.Addr())
	return err
}

// Server returns the wrapper that puts the server ring around each endpoint.
func (a *App) Server(opts ...ServerOption) endpoints.Wrapper {
	if a.stock != nil {
		return a.stock.Server
	}
	ring := middleware.ServerRing{
		Tracer: a.Tracer, Sampler: a.sampler, Metrics: a.Metrics, Logger: a.Logger,
		Deadline: maxDeadline, Faults: &a.faults,
		Limit: middleware.Limit(a.Config.RateLimit, max(1, int(a.Config.RateLimit))),
		Shed:  a.shed,
		Work:  middleware.Work(a.Config.Work, a.Config.Workers, workQueue),
	}
	for _, set := range opts {
		set(&ring)
	}
	return ring.Wrap
}

const (
	maxDeadline = 15 * time.Second // of a request whose caller names none, or a longer one
	workQueue   = 256              // requests that wait for a simulated worker
)

// RPC is where gRPC services are registered.
func (a *App) RPC() grpc.ServiceRegistrar { return a.rpc }

// REST serves the routes below /v1/ on the admin address, for curl.
func (a *App) REST(routes []rest.Route) {
	a.admin.Handle("/v1/", rest.Trace(a.Tracer, rest.NewHandler(routes, rest.WithLogger(a.Logger))))
}

// HTTP serves h on the rpc address instead of gRPC. A request may lower its own
// priority, not raise it.
func (a *App) HTTP(h http.Handler) {
	if a.Config.Experiments {
		h = middleware.AskFault(h)
	}
	a.public = middleware.LowerPriority(h)
}

// AdminStream serves h, whose answers do not end by themselves, on the admin
// address; end is called at shutdown and ends them.
func (a *App) AdminStream(pattern string, h http.Handler, end func()) {
	a.admin.Handle(pattern, h)
	a.adminServer.OnShutdown(end)
}

// Journal opens a journal on the broker, waiting up to half a minute for it.
func (a *App) Journal(name string) (*broker.Journal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if a.broker == nil {
		c, err := broker.Connect(ctx, a.Config.Broker, broker.Options{Name: a.Config.ID, Tracer: a.Tracer, Logger: a.Logger})
		if err != nil {
			return nil, err
		}
		a.broker = c
		a.cleanup = append(a.cleanup, c.Close)
		a.Health.Add("broker", c.Health)
	}
	j, err := a.broker.Journal(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", name, err)
	}
	return j, nil
}

// Exchange carries requests between the instances of a service. It needs a
// journal to be open.
func (a *App) Exchange() *broker.Client { return a.broker }

// Registry is where a service registers collectors of its own.
func (a *App) Registry() prometheus.Registerer { return a.registry }

// Go has run run in the background while the instance serves. It ends when ctx
// does; an earlier error ends the instance.
func (a *App) Go(name string, run func(ctx context.Context) error) {
	a.background = append(a.background, task{name, run})
}

// OnClose has f called by Close.
func (a *App) OnClose(f func()) { a.cleanup = append(a.cleanup, f) }

// Close ends what New began, last in, first out; spans are flushed at the end.
func (a *App) Close() {
	for _, f := range slices.Backward(a.cleanup) {
		f()
	}
	a.cleanup = nil
}
