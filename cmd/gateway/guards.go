package main

import (
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
)

// guards are the hystrix commands around what a page is assembled from: a
// dependency that hangs may cost a page one part, never all its goroutines.
type guards struct {
	outcomes *prometheus.CounterVec
}

func newGuards(a *app.App) guards {
	g := guards{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kitmesh_hystrix_outcomes_total",
		Help: "Calls through each hystrix command by outcome.",
	}, []string{"command", "outcome"})}
	a.Registry.MustRegister(g.outcomes)
	return g
}

// around guards all methods of one dependency with one command. Where stale is
// given, its last good answers stand in for missing ones.
func (g guards) around(service string, stale *middleware.Stale) app.ClientOption {
	counters := map[middleware.Outcome]prometheus.Counter{}
	for _, o := range middleware.Outcomes() {
		counters[o] = g.outcomes.WithLabelValues(service, string(o))
	}
	var fallback middleware.Fallback
	if stale != nil {
		fallback = stale.Fallback
	}
	command := middleware.Hystrix(middleware.HystrixSettings{
		Name:          service,
		Timeout:       time.Second, // the gateway's own deadlines are shorter; this one bounds what ignores them
		MaxConcurrent: 200,
		ErrorPercent:  50,
		RequestVolume: 20,
		SleepWindow:   time.Second,
		Observe:       func(o middleware.Outcome) { counters[o].Inc() },
	}, fallback)
	return func(r *middleware.ClientRing, _ *target.Options) {
		r.Guard = func(string) endpoint.Middleware {
			if stale == nil {
				return command
			}
			return endpoint.Chain(command, stale.Remember)
		}
	}
}
