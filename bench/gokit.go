package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
	kitzipkin "github.com/go-kit/kit/tracing/zipkin"
	kitgrpc "github.com/go-kit/kit/transport/grpc"
	"github.com/go-kit/log"
	"github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"github.com/sony/gobreaker"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
)

// gokitClient is stock go-kit's usual client, tracing 1 %, to servers without a
// ring.
func gokitClient(f *fleet, name string) (contender, error) {
	c, err := gokit(f, plain, 0.01)
	c.name, c.what = name, "stock go-kit, client ring"
	return c, err
}

// gokitBoth is the same client to servers with go-kit's usual server ring.
func gokitBoth(share float64) func(*fleet, string) (contender, error) {
	return func(f *fleet, name string) (contender, error) {
		c, err := gokit(f, gokitRing, share)
		c.name, c.what = name, fmt.Sprintf("stock go-kit, both rings, tracing %v %%", share*100)
		return c, err
	}
}

// gokit wires what go-kit's examples wire: per instance a kitgrpc client with
// Zipkin, gobreaker and a limiter; over them round robin and Retry.
func gokit(f *fleet, kind string, share float64) (contender, error) {
	var open closers
	tracer, err := gokitTracer(f.zipkin, "bench-gokit", share, &open)
	if err != nil {
		return contender{}, err
	}
	factory := func(addr string) (endpoint.Endpoint, io.Closer, error) {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		e := kitgrpc.NewClient(conn, "kitmesh.catalog.v1.Catalog", "Get", encodeGet, decodeProduct, catalogpb.Product{},
			kitzipkin.GRPCClientTrace(tracer)).Endpoint()
		e = circuitbreaker.Gobreaker(gobreaker.NewCircuitBreaker(gobreaker.Settings{Name: addr}))(e)
		e = ratelimit.NewErroringLimiter(rate.NewLimiter(1e9, 1e9))(e)
		return e, conn, nil
	}
	instances := sd.FixedInstancer(f.addrs(kind))
	endpointer := sd.NewEndpointer(instances, factory, log.NewNopLogger())
	open.add(func() error { endpointer.Close(); return nil })
	get := lb.Retry(3, deadline, lb.NewRoundRobin(endpointer))
	for range 1000 { // the endpointer takes the instances in a goroutine of its own
		if all, err := endpointer.Endpoints(); err == nil && len(all) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return contender{stop: open.close, call: func(ctx context.Context) (string, error) {
		p, err := get(ctx, getRequest{SKU: sku})
		if err != nil {
			return "", err
		}
		return p.(product).SKU, nil
	}}, nil
}

// gokitTracer is zipkin-go with its own reporter and sampler.
func gokitTracer(url, name string, share float64, open *closers) (*zipkin.Tracer, error) {
	reporter := zipkinhttp.NewReporter(url + "/api/v2/spans")
	open.add(reporter.Close)
	sampler, err := zipkin.NewBoundarySampler(share, 1)
	if err != nil {
		return nil, err
	}
	local, err := zipkin.NewEndpoint(name, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	return zipkin.NewTracer(reporter, zipkin.WithLocalEndpoint(local), zipkin.WithSampler(sampler))
}

// The domain types of a go-kit service, and their codecs.
type (
	getRequest struct{ SKU string }
	product    struct {
		SKU, Name, Description, Category, Tagline string
		WeightGrams                               int
	}
)

func encodeGet(_ context.Context, r any) (any, error) {
	return &catalogpb.GetRequest{Sku: r.(getRequest).SKU}, nil
}

func decodeGet(_ context.Context, r any) (any, error) {
	return getRequest{SKU: r.(*catalogpb.GetRequest).GetSku()}, nil
}

func encodeProduct(_ context.Context, r any) (any, error) {
	p := r.(product)
	return &catalogpb.Product{
		Sku: p.SKU, Name: p.Name, Description: p.Description, Category: p.Category, Tagline: p.Tagline,
		WeightGrams: int64(p.WeightGrams),
	}, nil
}

func decodeProduct(_ context.Context, r any) (any, error) {
	p := r.(*catalogpb.Product)
	return product{
		SKU: p.GetSku(), Name: p.GetName(), Description: p.GetDescription(), Category: p.GetCategory(), Tagline: p.GetTagline(),
		WeightGrams: int(p.GetWeightGrams()),
	}, nil
}
