package target_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// The less loaded one gets the call; weights count.
func TestPicksTheLessLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := discovery.NewStatic(instances(1)...)
		x := of(t, 0, target.Options{Source: source})
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 20 { // all of them hang on x-1
			wg.Go(func() {
				_ = x.Do(t.Context(), read, func(context.Context, *target.Member) error {
					<-release
					return nil
				})
			})
		}
		source.Set(instances(3)...)
		time.Sleep(3 * time.Second) // past the slow start
		picks := map[string]int{}
		for range 300 {
			_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
				picks[m.Instance().ID]++
				return nil
			})
		}
		// x-1 loses each comparison.
		if picks["x-1"] > 0 || picks["x-2"] < 90 || picks["x-3"] < 90 {
			t.Errorf("picks = %v, want the loaded x-1 left alone and the others even", picks)
		}
		close(release)
		wg.Wait()
	})
}

// An open breaker takes an instance out of rotation without costing a call.
func TestOpenBreakerIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{Breaker: middleware.BreakerSettings{OpenFor: time.Minute}, Retry: target.Retry{Max: 1}})
		failing := func(_ context.Context, m *target.Member) error {
			if m.Instance().ID == "x-2" {
				return fault.New(fault.Internal, "sick")
			}
			return nil
		}
		for range 200 {
			_ = x.Do(t.Context(), read, failing)
		}
		for range 1000 {
			if err := x.Do(t.Context(), read, failing); err != nil {
				t.Fatalf("with the breaker open: %v", err)
			}
		}
		time.Sleep(2 * time.Minute)
		for range 200 { // it recovers and is found by a probe
			_ = x.Do(t.Context(), read, func(context.Context, *target.Member) error { return nil })
		}
		for _, m := range x.Report().Members {
			if m.Breaker != middleware.Closed {
				t.Errorf("%s: breaker %s after the recovery", m.ID, m.Breaker)
			}
		}
	})
}

// When every breaker is open: one call at a time goes through, the others fail
// at once, and a recovery is found by the first.
func TestAllBreakersOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 2, target.Options{Breaker: middleware.BreakerSettings{OpenFor: time.Hour}})
		for range 50 {
			_ = x.Do(t.Context(), read, func(context.Context, *target.Member) error { return fault.New(fault.Internal, "down") })
		}
		release := make(chan struct{})
		var through, shorted atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := x.Do(t.Context(), read, func(context.Context, *target.Member) error {
					through.Add(1)
					<-release
					return nil
				})
				if err != nil {
					shorted.Add(1)
					if got, want := fault.MessageOf(err), "no instance of x is reachable: all keep failing"; got != want {
						t.Errorf("message %q, want %q", got, want)
					}
				}
			})
		}
		synctest.Wait()
		if through.Load() != 2 || shorted.Load() != 8 {
			t.Errorf("%d went through and %d failed at once, want 2 and 8", through.Load(), shorted.Load())
		}
		close(release)
		wg.Wait()
		if err := x.Do(t.Context(), read, func(context.Context, *target.Member) error { return nil }); err != nil {
			t.Errorf("after the recovery: %v", err)
		}
	})
}

// A refused connection keeps an instance out for a while; another process at the
// same address starts with a clean sheet.
func TestRefusedIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := instances(2)
		source := discovery.NewStatic(both...)
		x := of(t, 0, target.Options{Source: source})
		count := map[string]int{}
		call := func() {
			_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
				count[m.Instance().ID]++
				if m.Instance().ID == "x-1" {
					return refused
				}
				return nil
			})
		}
		for range 100 {
			call()
		}
		if count["x-1"] != 1 || count["x-2"] != 100 {
			t.Errorf("tries = %v, want one of the refusing instance", count)
		}
		both[0].Started = "later"
		source.Set(both...)
		synctest.Wait()
		for range 1000 { // it starts slowly: about one call in 20
			call()
		}
		if count["x-1"] != 2 {
			t.Errorf("tries = %v, want one more after the restart", count)
		}
	})
}
