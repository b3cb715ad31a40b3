package app

import (
	"context"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/cmd/internal/stock"
	"github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
)

// The values of --stack.
const (
	StackMesh  = "mesh"
	StackStock = "stock"
)

// This file is all that differs between the two stacks. The rest of the process
// (service, endpoints, transports, broker, health, fault injection, admin pages)
// is the same, so that a comparison is one of rings and discovery.

// join makes the mesh of this process, or what stands in for it; it contacts
// nobody before Client does.
func (a *App) join() error {
	if a.Config.Stack == StackStock {
		return a.joinStock()
	}
	a.mesh = mesh.New(mesh.Options{
		Consul:    a.consul,
		Discovery: discovery.Options{Logger: a.Logger},
		Target: target.Options{
			Tracer: a.Tracer,
			// A hung instance costs a call half its time, not all of it.
			// The floor is small because it is each caller's own, and there are many.
			Retry:   target.Retry{TryShare: 0.5, Floor: 2},
			Balance: target.Balance{Policy: target.Policy(a.Config.Balance), Zone: a.Config.Zone, Caller: a.Config.ID},
			Metrics: target.NewMetrics(a.registry),
			Logger:  a.Logger,
		},
		Each: func(service string, o *target.Options) {
			o.Retry.Hedge = hedged[service]
			o.DialOptions = a.dialOptions()
		},
	})
	a.OnClose(func() { _ = a.mesh.Close() })
	return nil
}

// dialOptions are for calls from an address of this instance's own.
func (a *App) dialOptions() []grpc.DialOption {
	if a.Config.Source == "" {
		return nil
	}
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.Config.Source)}}
	return []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return from.DialContext(ctx, "tcp", addr)
	})}
}

func (a *App) joinStock() (err error) {
	a.stock, err = stock.New(stock.Options{
		Consul: a.Config.Consul, Tracer: a.Tracer, Registry: a.registry, Logger: a.Logger,
		Timeout:   callDeadline, // what the mesh's calls have
		RateLimit: a.Config.RateLimit,
		Faults:    &a.faults,
		Work:      middleware.Work(a.Config.Work, a.Config.Workers, workQueue),
	})
	if err == nil {
		a.OnClose(a.stock.Close)
	}
	return err
}

// ownMetrics is where the mesh's own rings count; the stock ones use the same
// names.
func (a *App) ownMetrics() prometheus.Registerer {
	if a.Config.Stack == StackStock {
		return nil
	}
	return a.registry
}

const streamWorkers = 16

func (a *App) serverOptions() []grpc.ServerOption {
	if a.stock != nil {
		return a.stock.ServerOptions()
	}
	return append(target.ServerOptions(),
		grpc.ChainUnaryInterceptor(a.interceptors()...),
		grpc.NumStreamWorkers(streamWorkers), // workers keep their grown stacks; a goroutine per call grows one each time
	)
}

func (a *App) interceptors() []grpc.UnaryServerInterceptor {
	all := []grpc.UnaryServerInterceptor{middleware.ExtractB3()}
	if a.Config.Experiments {
		all = append(all, middleware.ReceiveFault())
	}
	return all
}

// meshPage is what /mesh shows.
func (a *App) meshPage() http.Handler {
	if a.stock != nil {
		return a.stock.Handler()
	}
	return a.mesh.Handler()
}

// registrar keeps the instance in Consul while Run runs, until Drain.
type registrar interface {
	Run(ctx context.Context) error
	Drain(ctx context.Context) error
}

func (a *App) registrar() (registrar, error) {
	if a.stock != nil {
		return a.stock.Registrar(a.registration())
	}
	return registry.New(a.consul, a.registration(), a.Health.Summary, a.bareLogger), nil
}
