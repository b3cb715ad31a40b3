package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/telemetry"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/catalog"
	transport "github.com/kitmesh/kitmesh/transports/catalog"
)

// kitmeshClient is the client ring, tracing 1 %, to servers without a ring.
func kitmeshClient(f *fleet, name string) (contender, error) {
	c, err := kitmesh(f, plain, 0.01)
	c.name, c.what = name, "kitmesh, client ring"
	return c, err
}

// kitmeshBoth is the client ring to servers with the server ring.
func kitmeshBoth(rate float64) func(*fleet, string) (contender, error) {
	return func(f *fleet, name string) (contender, error) {
		c, err := kitmesh(f, kitmeshRing, rate)
		c.name, c.what = name, fmt.Sprintf("kitmesh, both rings, tracing %v %%", rate*100)
		return c, err
	}
}

// kitmesh wires the client ring as cmd/internal/app does, with told instances
// in place of found ones: the calls see the same snapshots.
func kitmesh(f *fleet, kind string, rate float64) (contender, error) {
	var open closers
	tracer, err := kitmeshTracer(f.zipkin, "bench", rate, &open)
	if err != nil {
		return contender{}, err
	}
	registry := prometheus.NewRegistry()
	t := target.New(target.Options{
		Service: service,
		Source:  discovery.NewStatic(instancesAt(f.addrs(kind))...),
		Tracer:  tracer,
		Metrics: target.NewMetrics(registry),
	})
	open.add(t.Close)
	sampler, err := telemetry.NewSampler(telemetry.Sampling{Share: rate})
	if err != nil {
		return contender{}, err
	}
	ring := middleware.ClientRing{Target: service, Sampler: sampler, Metrics: middleware.NewMetrics(registry), Deadline: 5 * time.Second}
	set := transport.Client(func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		return ring.Call(method, t.Endpoint(method, dial))
	})
	return contender{call: getOf(set), stop: open.close}, nil
}

func getOf(set endpoints.Set) op {
	return func(ctx context.Context) (string, error) {
		p, err := set.Get(ctx, catalog.GetRequest{SKU: sku})
		return p.SKU, err
	}
}

// kitmeshTracer reports to Zipkin as every process of the mesh does.
func kitmeshTracer(url, name string, rate float64, open *closers) (*zipkin.Tracer, error) {
	reporter, err := telemetry.NewReporter(url, telemetry.ReporterOptions{})
	if err != nil {
		return nil, err
	}
	open.add(reporter.Close)
	return telemetry.NewTracer(name, name+"-1", "127.0.0.1:1", reporter, telemetry.Sampling{Share: rate})
}

func instancesAt(addrs []string) []discovery.Instance {
	var out []discovery.Instance
	for n, addr := range addrs {
		out = append(out, discovery.Instance{Service: service, ID: fmt.Sprintf("%s-%d", service, n+1), Addr: addr, Zone: "local", Version: "v1"})
	}
	return out
}
