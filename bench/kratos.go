package main

import (
	"context"
	"fmt"

	"github.com/go-kratos/kratos/v2/middleware/circuitbreaker"
	"github.com/go-kratos/kratos/v2/middleware/metrics"
	"github.com/go-kratos/kratos/v2/middleware/recovery"
	"github.com/go-kratos/kratos/v2/middleware/tracing"
	"github.com/go-kratos/kratos/v2/registry"
	kratosgrpc "github.com/go-kratos/kratos/v2/transport/grpc"
	metricsdk "go.opentelemetry.io/otel/sdk/metric"
)

// kratosClient is Kratos's client with what its guide puts into one: discovery,
// recovery, tracing (1 %), metrics, breaker; its default balancer.
func kratosClient(f *fleet, name string) (contender, error) {
	meters := metricsdk.NewMeterProvider(
		metricsdk.WithReader(metricsdk.NewManualReader()),
		metricsdk.WithView(metrics.DefaultSecondsHistogramView(metrics.DefaultClientSecondsHistogramName)))
	meter := meters.Meter("bench")
	requests, err := metrics.DefaultRequestsCounter(meter, metrics.DefaultClientRequestsCounterName)
	if err != nil {
		return contender{}, err
	}
	seconds, err := metrics.DefaultSecondsHistogram(meter, metrics.DefaultClientSecondsHistogramName)
	if err != nil {
		return contender{}, err
	}
	traces := otelTraces(0.01)
	conn, err := kratosgrpc.DialInsecure(context.Background(),
		kratosgrpc.WithEndpoint("discovery:///"+service),
		kratosgrpc.WithDiscovery(told(f.addrs(plain))),
		kratosgrpc.WithPrintDiscoveryDebugLog(false),
		kratosgrpc.WithTimeout(deadline),
		kratosgrpc.WithMiddleware(
			recovery.Recovery(),
			tracing.Client(tracing.WithTracerProvider(traces)),
			metrics.Client(metrics.WithRequests(requests), metrics.WithSeconds(seconds)),
			circuitbreaker.Client(),
		))
	if err != nil {
		return contender{}, err
	}
	return contender{
		name: name, what: "Kratos, client",
		call: stub(conn),
		stop: func() {
			_ = conn.Close()
			_ = traces.Shutdown(context.Background())
			_ = meters.Shutdown(context.Background())
		},
	}, nil
}

// told is a registry.Discovery whose instances never change.
type told []string

func (t told) GetService(context.Context, string) ([]*registry.ServiceInstance, error) {
	var out []*registry.ServiceInstance
	for n, addr := range t {
		out = append(out, &registry.ServiceInstance{
			ID: fmt.Sprintf("%s-%d", service, n+1), Name: service, Version: "v1", Endpoints: []string{"grpc://" + addr},
		})
	}
	return out, nil
}

func (t told) Watch(ctx context.Context, _ string) (registry.Watcher, error) {
	ctx, stop := context.WithCancel(ctx)
	return &toldOnce{told: t, ctx: ctx, stop: stop}, nil
}

type toldOnce struct {
	told
	ctx  context.Context
	stop context.CancelFunc
	said bool
}

func (w *toldOnce) Next() ([]*registry.ServiceInstance, error) {
	if !w.said {
		w.said = true
		return w.GetService(w.ctx, service)
	}
	<-w.ctx.Done()
	return nil, w.ctx.Err()
}

func (w *toldOnce) Stop() error {
	w.stop()
	return nil
}
