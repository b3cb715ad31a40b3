package main

import (
	"context"

	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/prometheus"
	"github.com/zeromicro/go-zero/core/stat"
	"github.com/zeromicro/go-zero/zrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	tracesdk "go.opentelemetry.io/otel/sdk/trace"
)

// gozeroClient is zrpc as its defaults make it: trace (1 %), duration,
// Prometheus, breaker, timeout, and its p2c_ewma balancer.
func gozeroClient(f *fleet, name string) (contender, error) {
	logx.Disable()
	stat.DisableLog()
	prometheus.Enable()
	traces := otelTraces(0.01)
	otel.SetTracerProvider(traces) // go-zero knows no other place for it
	otel.SetTextMapPropagator(propagation.TraceContext{})
	client, err := zrpc.NewClient(zrpc.RpcClientConf{
		Endpoints: f.addrs(plain),
		NonBlock:  true,
		Timeout:   deadline.Milliseconds(),
		Middlewares: zrpc.ClientMiddlewaresConf{
			Trace: true, Duration: true, Prometheus: true, Breaker: true, Timeout: true,
		},
		BalancerName: "p2c_ewma",
	})
	if err != nil {
		return contender{}, err
	}
	return contender{
		name: name, what: "go-zero, client",
		call: stub(client.Conn()),
		stop: func() {
			_ = client.Conn().Close()
			_ = traces.Shutdown(context.Background())
		},
	}, nil
}

// otelTraces records a share of the traces and drops them when they are
// batched: sending them would cost Kratos and go-zero more.
func otelTraces(share float64) *tracesdk.TracerProvider {
	return tracesdk.NewTracerProvider(
		tracesdk.WithSampler(tracesdk.ParentBased(tracesdk.TraceIDRatioBased(share))),
		tracesdk.WithBatcher(dropSpans{}))
}

type dropSpans struct{}

func (dropSpans) ExportSpans(context.Context, []tracesdk.ReadOnlySpan) error { return nil }
func (dropSpans) Shutdown(context.Context) error                             { return nil }
