package stock

import (
	"context"
	"time"

	"github.com/go-kit/kit/endpoint"
	kitmetrics "github.com/go-kit/kit/metrics"
	kitprometheus "github.com/go-kit/kit/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/services/fault"
)

// metrics are kit's, under the names that the mesh uses, so that one dashboard
// and one experiment read both stacks.
type metrics struct {
	serverRequests, clientRequests, retries kitmetrics.Counter
	serverSeconds, clientSeconds            kitmetrics.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) kitmetrics.Counter {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(vec)
		return kitprometheus.NewCounter(vec)
	}
	seconds := func(name, help string, labels ...string) kitmetrics.Histogram {
		vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help}, labels)
		r.MustRegister(vec)
		return kitprometheus.NewHistogram(vec)
	}
	return &metrics{
		serverRequests: counter("kitmesh_server_requests_total", `Requests served, by fault code or "ok".`, "method", "code"),
		serverSeconds:  seconds("kitmesh_server_request_seconds", "Time to serve a request.", "method"),
		clientRequests: counter("kitmesh_client_requests_total", `Calls made, retries not counted, by fault code or "ok".`, "target", "method", "code"),
		clientSeconds:  seconds("kitmesh_client_request_seconds", "Time of a call, its retries included.", "target", "method"),
		retries:        counter("kitmesh_client_retries_total", "Tries beyond the first.", "target"),
	}
}

// server and client are addsvc's InstrumentingMiddleware. Labels are given all
// at once: kit's With shares its array between siblings.
func (m *metrics) server(method string) endpoint.Middleware {
	return measure(m.serverRequests, m.serverSeconds, "method", method)
}

func (m *metrics) client(target, method string) endpoint.Middleware {
	return measure(m.clientRequests, m.clientSeconds, "target", target, "method", method)
}

func measure(requests kitmetrics.Counter, seconds kitmetrics.Histogram, labels ...string) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (_ any, err error) {
			defer func(begin time.Time) {
				seconds.With(labels...).Observe(time.Since(begin).Seconds())
				code := "ok"
				if err != nil {
					code = string(fault.CodeOf(err))
				}
				requests.With(append([]string{"code", code}, labels...)...).Add(1)
			}(time.Now())
			return next(ctx, request)
		}
	}
}
