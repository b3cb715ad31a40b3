package target_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// crowd are three instances of four workers that take 10 ms, so of 1,200 calls
// per second, and shed what would queue for longer than 20 ms. To refuse takes a
// worker half a millisecond: a twentieth of serving.
type crowd struct {
	x    *target.Target
	code fault.Code // of what is shed

	mu    sync.Mutex
	free  map[string]time.Time // when an instance will be done with what it has
	tries int
	good  []time.Duration // when calls succeeded
	bad   []time.Duration // when calls failed
}

func newCrowd(t *testing.T, o target.Options) *crowd {
	return &crowd{x: of(t, 3, o), code: fault.Overloaded, free: map[string]time.Time{}}
}

func (c *crowd) serve(_ context.Context, m *target.Member) error {
	c.mu.Lock()
	c.tries++
	now, free := time.Now(), c.free[m.Instance().ID]
	if free.Before(now) {
		free = now
	}
	full, work := free.Sub(now) > 20*time.Millisecond, 10*time.Millisecond
	if full {
		work = time.Millisecond / 2
	}
	c.free[m.Instance().ID] = free.Add(work / 4)
	c.mu.Unlock()
	if full {
		return &fault.Error{Code: c.code, Message: "full", RetryAfter: 250 * time.Millisecond}
	}
	time.Sleep(free.Sub(now) + work)
	return nil
}

// load calls at a rate for a time, from a time on, as one of a priority.
func (c *crowd) load(t *testing.T, p middleware.Priority, rate int, d time.Duration) {
	var all sync.WaitGroup
	begin := time.Now()
	for n := range int(d.Seconds() * float64(rate)) {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(middleware.WithPriority(t.Context(), p), time.Second)
			defer cancel()
			start := time.Now()
			err := c.x.Do(ctx, read, c.serve)
			if err != nil && fault.RetryAfterOf(err) == 0 {
				t.Errorf("%v does not say when to come back", err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if err == nil {
				c.good = append(c.good, start.Sub(begin))
			} else {
				c.bad = append(c.bad, start.Sub(begin))
			}
		})
	}
	all.Wait()
}

// Three times as many calls as the instances can do: a call that was shed and
// goes to another that shed nothing lately costs no goodput, one that is
// repeated blindly does; throttling brings some of it back.
func TestOverload(t *testing.T) {
	goodput, tries := map[string]float64{}, map[string]float64{}
	for name, o := range map[string]target.Options{
		"no retry":      {Retry: target.Retry{Max: 1}, Throttle: target.Throttle{K: -1}},
		"shed once":     {Throttle: target.Throttle{K: -1}},
		"blind retries": {Throttle: target.Throttle{K: -1}, Retry: target.Retry{Ratio: 3}, Breaker: middleware.BreakerSettings{ConsecutiveFailures: 1 << 20}},
		"throttled":     {},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, o)
			if name == "blind retries" {
				c.code = fault.Unavailable
			}
			c.load(t, middleware.Normal, 3600, 3*time.Second)
			goodput[name], tries[name] = float64(len(c.good))/3, float64(c.tries)/3
			t.Logf("%-14s %4.0f of 1200 per second, %5.0f tries", name, goodput[name], tries[name])
		})
	}
	if goodput["shed once"] < 0.98*goodput["no retry"] || tries["shed once"] > 1.02*tries["no retry"] {
		t.Error("repeating what was shed costs goodput")
	}
	if goodput["blind retries"] > 0.95*goodput["no retry"] {
		t.Error("blind retries cost nothing: this overload tests nothing")
	}
	if goodput["throttled"] < 1.02*goodput["no retry"] || tries["throttled"] > 2700 {
		t.Error("throttling saves nothing")
	}
}

// One of three sheds half of its calls while the others have room: nobody
// notices.
func TestOneSheds(t *testing.T) {
	for name, retry := range map[string]target.Retry{"shed once": {}, "no retry": {Max: 1}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, target.Options{Retry: retry})
			failed := 0
			for range 2000 {
				time.Sleep(2 * time.Millisecond)
				err := c.x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
					if m.Instance().ID == "x-1" && rand.IntN(2) == 0 {
						return &fault.Error{Code: fault.Overloaded, Message: "full", RetryAfter: 250 * time.Millisecond}
					}
					return nil
				})
				if err != nil {
					failed++
				}
			}
			t.Logf("%s: %d of 2000 failed", name, failed)
			if (failed > 0) == (name == "shed once") {
				t.Errorf("%s: %d failed", name, failed)
			}
		})
	}
}

// An overload ends: a second later nothing is refused. What is refused here is
// counted, and says when to come back.
func TestThrottleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		c := newCrowd(t, target.Options{Metrics: target.NewMetrics(registry)})
		c.load(t, middleware.Normal, 3600, 3*time.Second)
		n := sum(t, registry, "kitmesh_client_throttled_total")
		if n < 1000 || int(n)+c.tries < 10800 {
			t.Errorf("%v of 10800 calls throttled, %d tries", n, c.tries)
		}
		c.bad = nil
		c.load(t, middleware.Normal, 720, 3*time.Second)
		last := time.Duration(0)
		for _, at := range c.bad {
			last = max(last, at)
		}
		t.Logf("%v throttled; after it %d refused, the last after %v", n, len(c.bad), last)
		if last > 1100*time.Millisecond {
			t.Errorf("refused until %v after the overload, want a second", last)
		}
	})
}

// Each priority is throttled by what became of its own calls.
func TestThrottleByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{})
		got := map[middleware.Priority]int{}
		for range 2000 {
			time.Sleep(time.Millisecond)
			for p := middleware.Background; p <= middleware.Critical; p++ {
				_ = x.Do(middleware.WithPriority(t.Context(), p), read, func(context.Context, *target.Member) error {
					got[p]++
					if p == middleware.Background {
						return fault.New(fault.Limited, "no room for that")
					}
					return nil
				})
			}
		}
		if got[middleware.Critical] != 2000 || got[middleware.Normal] != 2000 || got[middleware.Background] > 400 || got[middleware.Background] < 100 {
			t.Errorf("sent %v of 2000 each, want a tenth of the background work and all the rest", got)
		}
	})
}

// A fault that says when to come back is not repeated before, and not at all
// when that is too late.
func TestRetryAfterIsObeyed(t *testing.T) {
	for _, tt := range []struct {
		after, time time.Duration
		tries       int
	}{
		{200 * time.Millisecond, time.Second, 3}, {700 * time.Millisecond, time.Second, 2},
		{2 * time.Second, time.Second, 1}, {2 * time.Second, 0, 1}, {200 * time.Millisecond, 0, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if tt.time > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.time)
				defer cancel()
			}
			tries, last := 0, time.Now()
			err := of(t, 4, target.Options{}).Do(ctx, read, func(context.Context, *target.Member) error {
				if tries++; tries > 1 && time.Since(last) < tt.after {
					t.Errorf("try %d after %v, want at least %v", tries, time.Since(last), tt.after)
				}
				last = time.Now()
				return &fault.Error{Code: fault.Unavailable, Message: "not yet", RetryAfter: tt.after}
			})
			if tries != tt.tries || fault.RetryAfterOf(err) != tt.after {
				t.Errorf("after %v with %v: %d tries, want %d; the caller is told %v", tt.after, tt.time, tries, tt.tries, fault.RetryAfterOf(err))
			}
		})
	}
}
