package middleware

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	"github.com/sony/gobreaker"
	"golang.org/x/time/rate"

	"github.com/kitmesh/kitmesh/services/fault"
)

// trip opens b with failures of its own.
func trip(t *testing.T, b *Breaker) {
	t.Helper()
	e := b.Middleware(broken)
	for range b.settings.ConsecutiveFailures {
		if err := call(t, e); !errors.Is(err, errBoom) {
			t.Fatalf("before it opened: %v", err)
		}
	}
	if b.State() != Open {
		t.Fatalf("state is %s after %d failures, want open", b.State(), b.settings.ConsecutiveFailures)
	}
}

// With Probes a failure among the first good answers keeps it open.
func TestBreakerWantsSeveralProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerSettings{Name: "catalog-1", ConsecutiveFailures: 3, Probes: 3})
		trip(t, b)
		time.Sleep(time.Second + 1)
		for _, tt := range []struct {
			answer endpoint.Endpoint
			state  string
		}{{fine, HalfOpen}, {fine, HalfOpen}, {broken, Open}, {fine, HalfOpen}, {fine, HalfOpen}, {fine, Closed}} {
			_ = call(t, b.Middleware(tt.answer))
			if b.State() != tt.state {
				t.Fatalf("it is %s, want %s", b.State(), tt.state)
			}
			if tt.state == Open {
				time.Sleep(time.Second + 1)
			}
		}
	})
}

func TestBreakerLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		b := NewBreaker(BreakerSettings{
			Name: "catalog-1", ConsecutiveFailures: 3, OpenFor: time.Second,
			OnChange: func(name, from, to string) { seen = append(seen, name+" "+from+">"+to) },
		})
		trip(t, b)
		err := call(t, b.Middleware(fine))
		wantCode(t, err, fault.Unavailable)
		if !errors.Is(err, ErrOpen) || b.Ready() {
			t.Fatalf("an open breaker gave %v, ready %v", err, b.Ready())
		}
		if wait := fault.RetryAfterOf(err); wait != time.Second {
			t.Fatalf("retry after %v, want 1s", wait)
		}
		time.Sleep(time.Second + 1)
		if b.State() != HalfOpen || !b.Ready() {
			t.Fatalf("state is %s after OpenFor, want half-open", b.State())
		}
		if err := call(t, b.Middleware(broken)); !errors.Is(err, errBoom) || b.State() != Open {
			t.Fatalf("a failed probe gave %v and left it %s", err, b.State())
		}
		time.Sleep(time.Second + 1)
		if err := call(t, b.Middleware(fine)); err != nil || b.State() != Closed {
			t.Fatalf("a good probe gave %v and left it %s", err, b.State())
		}
		want := []string{
			"catalog-1 closed>open", "catalog-1 open>half-open", "catalog-1 half-open>open",
			"catalog-1 open>half-open", "catalog-1 half-open>closed",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("changes %q, want %q", seen, want)
		}
		got := b.Counts()
		if want := (BreakerCounts{Requests: 5, Successes: 1, Failures: 4, ShortCircuited: 1, Opened: 2}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	})
}

func TestBreakerCountsWhatTheInstanceDid(t *testing.T) {
	blamed := []fault.Code{fault.Unavailable, fault.Internal, fault.Deadline}
	for _, code := range fault.Codes() {
		b := NewBreaker(BreakerSettings{Name: "x"})
		e := b.Middleware(failing(fault.New(code, "no")))
		for range 20 {
			_ = call(t, e)
		}
		want := Closed
		if slices.Contains(blamed, code) {
			want = Open
		}
		if b.State() != want {
			t.Errorf("20 times %s: %s, want %s", code, b.State(), want)
		}
	}
}

func TestBreakerIgnoresCallersWhoLeave(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	// A cancelled call may come back as anything; here as an uncoded error.
	leave := func(ctx context.Context, _ any) (any, error) { return nil, errors.New("stream closed") }
	b := NewBreaker(BreakerSettings{Name: "x", ConsecutiveFailures: 3})
	for range 2 {
		_ = call(t, b.Middleware(broken))
	}
	for range 20 {
		_, _ = b.Middleware(leave)(gone, nil)
	}
	if b.State() != Closed || b.Counts().Neutral != 20 {
		t.Fatalf("20 cancellations: %s, %+v", b.State(), b.Counts())
	}
	// Neutral is no success either: the streak of failures goes on.
	_ = call(t, b.Middleware(broken))
	if b.State() != Open {
		t.Fatal("cancellations broke a streak of failures")
	}
	t.Run("stock", func(t *testing.T) {
		cb := gobreaker.NewCircuitBreaker(gobreaker.Settings{})
		for range 6 {
			_, _ = circuitbreaker.Gobreaker(cb)(leave)(gone, nil)
		}
		if cb.State() != gobreaker.StateOpen {
			t.Fatal("the stock breaker does not count cancellations any more")
		}
	})
}

func TestBreakerCancelledProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerSettings{Name: "x"})
		trip(t, b)
		time.Sleep(time.Second + 1)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		_, err := b.Middleware(func(ctx context.Context, _ any) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})(ctx, nil)
		if !errors.Is(err, context.Canceled) || b.State() != HalfOpen {
			t.Fatalf("a cancelled probe gave %v and left it %s, want half-open", err, b.State())
		}
		if err := call(t, b.Middleware(fine)); err != nil || b.State() != Closed {
			t.Fatalf("the next probe gave %v and left it %s", err, b.State())
		}
	})
}

func TestBreakerHungProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerSettings{Name: "x", ProbeFor: 300 * time.Millisecond})
		trip(t, b)
		time.Sleep(time.Second + 1)
		block := make(chan struct{})
		var hung sync.WaitGroup
		hung.Go(func() {
			_, _ = b.Middleware(func(context.Context, any) (any, error) { <-block; return nil, errBoom })(t.Context(), nil)
		})
		synctest.Wait()
		if err := call(t, b.Middleware(fine)); !errors.Is(err, ErrOpen) {
			t.Fatalf("a second call beside the probe gave %v, want ErrOpen", err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := call(t, b.Middleware(fine)); err != nil || b.State() != Closed {
			t.Fatalf("the probe after the hung one gave %v and left it %s", err, b.State())
		}
		// What the hung one says in the end concerns a state long gone.
		close(block)
		hung.Wait()
		if b.State() != Closed {
			t.Fatal("a stale failure changed the state")
		}
	})
	t.Run("stock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cb := gobreaker.NewCircuitBreaker(gobreaker.Settings{Timeout: 10 * time.Millisecond})
			for range 6 {
				_, _ = cb.Execute(func() (any, error) { return nil, errBoom })
			}
			time.Sleep(11 * time.Millisecond)
			block := make(chan struct{})
			var hung sync.WaitGroup
			hung.Go(func() { _, _ = cb.Execute(func() (any, error) { <-block; return nil, nil }) })
			synctest.Wait()
			time.Sleep(time.Hour)
			_, err := cb.Execute(func() (any, error) { return nil, nil })
			if !errors.Is(err, gobreaker.ErrTooManyRequests) {
				t.Fatalf("the stock breaker is not wedged by a hung probe: %v", err)
			}
			close(block)
			hung.Wait()
		})
	})
}

func TestBreakerLateAnswersOfAnOlderState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerSettings{Name: "x"})
		old, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		trip(t, b)
		time.Sleep(time.Second + 1)
		old.Done(t.Context(), nil) // began before the failures: proves nothing about now
		if b.State() != HalfOpen {
			t.Fatalf("state is %s, want half-open", b.State())
		}
	})
}

func TestBreakerCallbackMayUseIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Breaker
		var states []string
		b = NewBreaker(BreakerSettings{Name: "x", OnChange: func(_, _, to string) {
			states = append(states, to+"/"+b.State())
			if to == Open { // even to change it
				time.Sleep(2 * time.Second)
				_, _ = b.Middleware(fine)(context.Background(), nil)
			}
		}})
		e := b.Middleware(broken)
		for range 5 {
			_ = call(t, e)
		}
		want := []string{"open/open", "half-open/closed", "closed/closed"}
		if !slices.Equal(states, want) {
			t.Errorf("announced %q, want %q", states, want)
		}
	})
	t.Run("stock", func(t *testing.T) {
		// A deadlock cannot be ended, so the callback has another goroutine ask.
		var cb *gobreaker.CircuitBreaker
		asked, answered := make(chan struct{}), make(chan struct{})
		cb = gobreaker.NewCircuitBreaker(gobreaker.Settings{OnStateChange: func(string, gobreaker.State, gobreaker.State) {
			go func() { close(asked); cb.State(); close(answered) }()
			<-asked
			select {
			case <-answered:
				t.Error("the stock breaker answers during its callback: no trap any more")
			case <-time.After(50 * time.Millisecond):
			}
		}})
		for range 6 {
			_, _ = cb.Execute(func() (any, error) { return nil, errBoom })
		}
		<-answered
	})
}

func TestBreakerPanicIsAFailure(t *testing.T) {
	b := NewBreaker(BreakerSettings{Name: "x", ConsecutiveFailures: 1})
	e := Recover(b.Middleware(func(context.Context, any) (any, error) { panic("oops") }))
	wantCode(t, call(t, e), fault.Internal)
	if b.State() != Open {
		t.Fatal("a panic did not count")
	}
}

func TestBreakerConcurrent(t *testing.T) {
	var mu sync.Mutex
	last := Closed
	b := NewBreaker(BreakerSettings{Name: "x", OpenFor: time.Microsecond, OnChange: func(_, from, to string) {
		mu.Lock()
		defer mu.Unlock()
		if from != last {
			t.Errorf("announced %s>%s after %s", from, to, last)
		}
		last = to
	}})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 3000 {
				e := endpoint.Endpoint(fine)
				if (i+g)%16 < 9 {
					e = broken
				}
				_, _ = b.Middleware(e)(context.Background(), nil)
				b.State()
				b.Ready()
			}
		})
	}
	all.Wait()
	c := b.Counts()
	if c.Opened == 0 || c.Requests != c.Successes+c.Failures+c.Neutral || c.Requests+c.ShortCircuited != 8*3000 {
		t.Errorf("counts do not add up: %+v", c)
	}
}

// Limits belong outside of breakers: what a caller does to itself must not be
// held against the instance.
func TestLimitsDoNotOpenBreakers(t *testing.T) {
	b := NewBreaker(BreakerSettings{Name: "x"})
	for name, e := range map[string]endpoint.Endpoint{
		"outside":              chain(fine, Limit(1, 10), b.Middleware),
		"even inside":          chain(fine, b.Middleware, Limit(1, 10)),
		"the instance's limit": chain(failing(fault.New(fault.Limited, "slow down")), b.Middleware),
	} {
		refused := 0
		for range 100 {
			if call(t, e) != nil {
				refused++
			}
		}
		if b.State() != Closed || refused < 90 {
			t.Errorf("%s: %s after %d refusals", name, b.State(), refused)
		}
	}
	t.Run("stock", func(t *testing.T) {
		cb := gobreaker.NewCircuitBreaker(gobreaker.Settings{})
		limit := ratelimit.NewErroringLimiter(rate.NewLimiter(1, 10))
		e := circuitbreaker.Gobreaker(cb)(limit(fine)) // the order of addsvc
		for range 100 {
			_ = call(t, e)
		}
		if cb.State() != gobreaker.StateOpen {
			t.Fatal("the stock order does not open the breaker any more")
		}
	})
}

func TestBreakerSuccessEndsAStreak(t *testing.T) {
	b := NewBreaker(BreakerSettings{Name: "x", ConsecutiveFailures: 3})
	for range 10 {
		_, _ = call(t, b.Middleware(broken)), call(t, b.Middleware(broken))
		if err := call(t, b.Middleware(fine)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBreakerCountsSurviveChanges(t *testing.T) {
	b := NewBreaker(BreakerSettings{Name: "x"})
	trip(t, b)
	if got := b.Counts().Failures; got != 5 {
		t.Fatalf("%d failures counted, want 5", got)
	}
	t.Run("stock", func(t *testing.T) {
		cb := gobreaker.NewCircuitBreaker(gobreaker.Settings{})
		for range 6 {
			_, _ = cb.Execute(func() (any, error) { return nil, errBoom })
		}
		if got := cb.Counts().TotalFailures; got != 0 {
			t.Fatalf("the stock breaker remembers %d failures", got)
		}
	})
}

func BenchmarkBreaker(b *testing.B) {
	br := NewBreaker(BreakerSettings{Name: "x"})
	e := br.Middleware(fine)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			_, _ = e(context.Background(), nil)
		}
	})
}
