package mesh_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
	kitgrpc "github.com/go-kit/kit/transport/grpc"
	"github.com/go-kit/log"
	"github.com/hashicorp/consul/api"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/health/grpc_health_v1"

	mesh "github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/telemetry"
	"github.com/kitmesh/kitmesh/middleware"
)

// What follows is the code of docs/from-go-kit.md, piece by piece: the file of a
// go-kit user who changes over.

func beFound(ctx context.Context, client *api.Client, health registry.Health, logger *slog.Logger) error {
	me := registry.New(client, registry.Registration{
		Service: "mine", ID: "mine-1", Addr: "10.0.0.7:9000", Version: "v1", Zone: "a",
	}, health, logger)
	err := me.Run(ctx) // until ctx ends; deregisters then
	return err
}

func find(client *api.Client, factory sd.Factory, logger *slog.Logger) (endpoint.Endpoint, func()) {
	instancer := discovery.New(client, "catalog", discovery.Options{Logger: logger})
	endpointer := sd.NewEndpointer(instancer, factory, log.NewNopLogger())
	retry := lb.Retry(3, time.Second, lb.NewRoundRobin(endpointer))
	return retry, instancer.Stop
}

var (
	encode kitgrpc.EncodeRequestFunc  = func(context.Context, any) (any, error) { return &pb.HealthCheckRequest{}, nil }
	decode kitgrpc.DecodeResponseFunc = func(_ context.Context, reply any) (any, error) { return reply, nil }
	reply                             = &pb.HealthCheckResponse{}
)

func call(client *api.Client) (get endpoint.Endpoint, end func() error) {
	m := mesh.New(mesh.Options{Consul: client})
	get = m.Target("catalog").Endpoint("catalog.Get", target.WithClientConn(func(conn *grpc.ClientConn) endpoint.Endpoint {
		return kitgrpc.NewClient(conn, "grpc.health.v1.Health", "Check", encode, decode, reply).Endpoint()
	}))
	return get, m.Close
}

func settings(client *api.Client, tracer *zipkin.Tracer, registry *prometheus.Registry, logger *slog.Logger) *mesh.Mesh {
	m := mesh.New(mesh.Options{
		Consul: client,
		Target: target.Options{
			Tracer: tracer, Metrics: target.NewMetrics(registry), Logger: logger,
			Retry: target.Retry{TryShare: 0.5}, // a hung instance costs a call half its time
		},
		Each: func(service string, o *target.Options) {
			if service == "pricing" {
				o.Retry.Hedge = []string{"pricing.Quote"}
			}
		},
	})
	return m
}

func serverRing(tracer *zipkin.Tracer, registry *prometheus.Registry, logger *slog.Logger, get endpoint.Endpoint) endpoint.Endpoint {
	ring := middleware.ServerRing{
		Tracer: tracer, Metrics: middleware.NewMetrics(registry), Logger: logger,
		Limit: middleware.Limit(1000, 100), Deadline: 15 * time.Second,
	}
	get = ring.Wrap("catalog.Get", get)
	return get
}

func server() *grpc.Server {
	server := grpc.NewServer(append(target.ServerOptions(), grpc.UnaryInterceptor(middleware.ExtractB3()))...)
	return server
}

func tracing() (*zipkin.Tracer, io.Closer, error) {
	reporter, err := telemetry.NewReporter("http://127.0.0.1:9411", telemetry.ReporterOptions{})
	if err != nil {
		return nil, nil, err
	}
	tracer, err := telemetry.NewTracer("mine", "mine-1", "10.0.0.7:9000", reporter, telemetry.Sampling{Share: 0.01})
	return tracer, reporter, err
}

// The page shows this file's code and no other.
func TestFromGoKitShowsThisCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-go-kit.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("fromkit_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := flat(string(file))
	blocks := strings.Split(string(page), "```go\n")[1:]
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if !strings.Contains(code, flat(b)) {
			t.Errorf("this code of docs/from-go-kit.md is not compiled:\n%s", b)
		}
	}
	if len(blocks) < 6 {
		t.Errorf("%d pieces of code, want one per piece of the ring", len(blocks))
	}
}

// flat is code without its layout.
func flat(code string) string { return strings.Join(strings.Fields(code), " ") }

// The pieces work together: one that beats is found by kit's own endpointer and
// by a Target whose endpoints kit's gRPC client makes.
func TestFromGoKit(t *testing.T) {
	consul := consultest.Start(t)
	instance := startAs(t, consul, "catalog", "catalog-1", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	found, leave := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() { left <- beFound(found, consul.Client(), nil, nil) }()

	retry, stop := find(consul.Client(), func(addr string) (endpoint.Endpoint, io.Closer, error) {
		return func(context.Context, any) (any, error) { return addr, nil }, nil, nil
	}, nil)
	defer stop()
	if !eventually(5*time.Second, func() bool {
		addr, err := retry(ctx, nil)
		return err == nil && addr == instance.Addr
	}) {
		t.Error("kit's endpointer over our instancer finds nobody")
	}
	get, end := call(consul.Client())
	defer end()
	if !eventually(5*time.Second, func() bool { _, err := get(ctx, nil); return err == nil }) {
		t.Error("kit's gRPC client over our target reaches nobody")
	}
	if !eventually(5*time.Second, func() bool {
		services, err := consul.Client().Agent().Services()
		return err == nil && services["mine-1"] != nil
	}) {
		t.Error("the registrar has not registered")
	}
	leave()
	if err := <-left; err != nil {
		t.Error(err)
	}

	tracer, reporter, err := tracing()
	if err != nil {
		t.Fatal(err)
	}
	defer reporter.Close()
	m := settings(consul.Client(), tracer, prometheus.NewRegistry(), nil)
	defer m.Close()
	ringed := serverRing(tracer, prometheus.NewRegistry(), nil, get)
	if _, err := ringed(ctx, nil); err != nil {
		t.Error(err)
	}
	server().Stop()
}
