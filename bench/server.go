package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-kit/kit/ratelimit"
	kitzipkin "github.com/go-kit/kit/tracing/zipkin"
	kitgrpc "github.com/go-kit/kit/transport/grpc"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/catalog"
	transport "github.com/kitmesh/kitmesh/transports/catalog"
	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
)

// What every server answers.
const (
	teaName, teaCategory = "Earl Grey", "groceries"
	teaDescription       = "Black tea with bergamot, 100 bags"
	teaGrams             = 250
)

// serve is the main function of a server process. It tells its addresses in a
// line of JSON, answers every line with its CPU time, and ends when stdin does.
func serve(args []string) error {
	var open closers
	defer open.close()
	var addrs map[string]string
	var err error
	switch {
	case len(args) == 2 && args[0] == sidecarsArg:
		addrs, err = serveSidecars(args[1], &open)
	case len(args) == 1 && args[0] == sink:
		addrs, err = serveSink(&open)
	case len(args) == 1:
		addrs, err = serveKinds(args[0], &open)
	default:
		err = fmt.Errorf("%s takes the URL for spans, or %q, or %q and the address of a server", serveArg, sink, sidecarsArg)
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(addrs); err != nil {
		return err
	}
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		if err := json.NewEncoder(os.Stdout).Encode(cpuTime()); err != nil {
			return err
		}
	}
	return nil
}

// serveSink takes spans as Zipkin does and forgets them.
func serveSink(open *closers) (map[string]string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	})}
	open.add(s.Close)
	go func() { _ = s.Serve(l) }()
	return map[string]string{sink: l.Addr().String()}, nil
}

// serveKinds serves every kind with these options more.
func serveKinds(zipkin string, open *closers, more ...grpc.ServerOption) (map[string]string, error) {
	addrs := map[string]string{}
	for kind, newServer := range map[string]func(string, *closers, []grpc.ServerOption) (*grpc.Server, error){
		plain: plainServer, kitmeshRing: kitmeshServer, gokitRing: gokitServer,
	} {
		s, err := newServer(zipkin, open, more)
		if err != nil {
			return nil, err
		}
		healthpb.RegisterHealthServer(s, health.NewServer()) // Kratos watches it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open.add(func() error { s.Stop(); return nil })
		go func() { _ = s.Serve(l) }()
		addrs[kind] = l.Addr().String()
	}
	return addrs, nil
}

type plainCatalog struct {
	catalogpb.UnimplementedCatalogServer
}

func (plainCatalog) Get(_ context.Context, r *catalogpb.GetRequest) (*catalogpb.Product, error) {
	return &catalogpb.Product{
		Sku: r.GetSku(), Name: teaName, Description: teaDescription, Category: teaCategory, WeightGrams: teaGrams,
	}, nil
}

// pinged lets the clients of all contenders ping as they like; otherwise a
// server without a ring is gRPC as it comes.
func pinged() grpc.ServerOption {
	return grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})
}

func plainServer(_ string, _ *closers, opts []grpc.ServerOption) (*grpc.Server, error) {
	s := grpc.NewServer(append(opts, pinged())...)
	catalogpb.RegisterCatalogServer(s, plainCatalog{})
	return s, nil
}

type kitmeshCatalog struct{ catalog.Service }

func (kitmeshCatalog) Get(_ context.Context, r catalog.GetRequest) (catalog.Product, error) {
	return catalog.Product{
		SKU: r.SKU, Name: teaName, Description: teaDescription, Category: teaCategory, WeightGrams: teaGrams,
	}, nil
}

// kitmeshServer wears the ring that cmd/internal/app gives every service.
func kitmeshServer(zipkin string, open *closers, opts []grpc.ServerOption) (*grpc.Server, error) {
	tracer, err := kitmeshTracer(zipkin, service, 0, open) // the caller decides what is sampled
	if err != nil {
		return nil, err
	}
	ring := middleware.ServerRing{
		Tracer: tracer, Metrics: middleware.NewMetrics(prometheus.NewRegistry()),
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Deadline: 15 * time.Second, Faults: &middleware.Faults{},
		Limit: middleware.Limit(1e9, 1e9), Shed: middleware.NewShed(middleware.ShedSettings{}),
	}
	s := grpc.NewServer(append(append(opts, target.ServerOptions()...),
		grpc.UnaryInterceptor(middleware.ExtractB3()),
		grpc.NumStreamWorkers(16))...)
	transport.Register(s, endpoints.New(kitmeshCatalog{}, ring.Wrap))
	return s, nil
}

type gokitCatalog struct {
	catalogpb.UnimplementedCatalogServer
	get kitgrpc.Handler
}

func (c gokitCatalog) Get(ctx context.Context, r *catalogpb.GetRequest) (*catalogpb.Product, error) {
	_, p, err := c.get.ServeGRPC(ctx, r)
	if err != nil {
		return nil, err
	}
	return p.(*catalogpb.Product), nil
}

// gokitServer is a kitgrpc server with a limiter and Zipkin.
func gokitServer(zipkin string, open *closers, opts []grpc.ServerOption) (*grpc.Server, error) {
	tracer, err := gokitTracer(zipkin, "catalog-gokit", 0, open)
	if err != nil {
		return nil, err
	}
	get := func(_ context.Context, r any) (any, error) {
		return product{
			SKU: r.(getRequest).SKU, Name: teaName, Description: teaDescription, Category: teaCategory, WeightGrams: teaGrams,
		}, nil
	}
	s := grpc.NewServer(append(opts, pinged())...)
	catalogpb.RegisterCatalogServer(s, gokitCatalog{get: kitgrpc.NewServer(
		ratelimit.NewErroringLimiter(rate.NewLimiter(1e9, 1e9))(get), decodeGet, encodeProduct,
		kitzipkin.GRPCServerTrace(tracer))})
	return s, nil
}
