package main

import (
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/middleware"
)

// guarded puts one hystrix command around all methods of a dependency that
// pages are assembled from: one that hangs may cost a page a part of it, never
// all its goroutines. Where stale is given, its last good answers stand in for
// missing ones.
func guarded(a *app.App, service string, stale *middleware.Stale) app.ClientOption {
	settings := middleware.HystrixSettings{
		Name:          service,
		Timeout:       time.Second, // the gateway's own deadlines are shorter; this one bounds what ignores them
		MaxConcurrent: 200,
		ErrorPercent:  50,
		RequestVolume: 20,
		SleepWindow:   time.Second,
		Observe:       a.Metrics.Guard(service),
	}
	var guard endpoint.Middleware
	if stale == nil {
		guard = middleware.Hystrix(settings, nil)
	} else {
		guard = endpoint.Chain(middleware.Hystrix(settings, stale.Fallback), stale.Remember)
	}
	return func(r *middleware.ClientRing) {
		r.Guard = func(string) endpoint.Middleware { return guard }
	}
}
