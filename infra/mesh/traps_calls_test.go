package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
	"github.com/sony/gobreaker"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// balanced calls a method over instances that are given as endpoints: each with
// a breaker, balanced, tried at most max times inside the caller's deadline.
type balanced func(t *testing.T, max int, idempotent bool, instances ...endpoint.Endpoint) endpoint.Endpoint

func ourBalanced(t *testing.T, max int, idempotent bool, instances ...endpoint.Endpoint) endpoint.Endpoint {
	return ourTarget(t, target.Options{
		Retry:   target.Retry{Max: max, Ratio: 1, TryShare: 0.4},
		Breaker: middleware.BreakerSettings{OpenFor: time.Hour},
	}, idempotent, instances...)
}

// ourTarget is a Target whose instances are the given endpoints.
func ourTarget(t *testing.T, o target.Options, idempotent bool, instances ...endpoint.Endpoint) endpoint.Endpoint {
	var known []discovery.Instance
	for n := range instances {
		known = append(known, discovery.Instance{Service: "x", ID: fmt.Sprint("x-", n), Addr: fmt.Sprint("127.0.0.1:", n+1)})
	}
	o.Service, o.Source = "x", discovery.NewStatic(known...)
	x := target.New(o)
	t.Cleanup(func() { _ = x.Close() })
	call := target.Call{Method: "x.M", Idempotent: idempotent}
	return func(ctx context.Context, request any) (response any, err error) {
		err = x.Do(ctx, call, func(ctx context.Context, m *target.Member) (err error) {
			var n int
			fmt.Sscanf(m.Instance().ID, "x-%d", &n)
			response, err = instances[n](ctx, request)
			return err
		})
		return response, err
	}
}

// The stock side is what go-kit's own examples do.
func stockBalanced(_ *testing.T, max int, _ bool, instances ...endpoint.Endpoint) endpoint.Endpoint {
	var guarded sd.FixedEndpointer
	for _, e := range instances {
		breaker := gobreaker.NewCircuitBreaker(gobreaker.Settings{Timeout: time.Hour})
		guarded = append(guarded, circuitbreaker.Gobreaker(breaker)(e))
	}
	return lb.Retry(max, time.Second, lb.NewRoundRobin(guarded))
}

func TestTrapsOfCalls(t *testing.T) {
	for name, body := range map[string]func(*testing.T, balanced) string{
		"an open breaker leaves the rotation":    openBreakerLeaves,
		"a retry goes elsewhere":                 retryGoesElsewhere,
		"a loaded instance gets less":            loadedGetsLess,
		"the caller's mistakes are not repeated": mistakesAreNotRepeated,
		"cancelled callers open no breaker":      cancellationsAreNeutral,
		"a hung instance costs a try":            hungCostsATry,
		"a lost reply is not done again":         lostReplyIsNotDoneAgain,
		"errors keep their identity":             errorsKeepIdentity,
		"a retry pauses":                         retryPauses,
		"no goroutine per try":                   noGoroutinePerTry,
		"a panic does not end the process":       panicIsContained,
	} {
		trap[balanced]{name, body, ourBalanced, stockBalanced}.run(t)
	}
}

func ok(context.Context, any) (any, error) { return "ok", nil }

func failing(code fault.Code) endpoint.Endpoint {
	return func(context.Context, any) (any, error) { return nil, fault.New(code, "no") }
}

func counted(n *atomic.Int32, e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		n.Add(1)
		return e(ctx, request)
	}
}

func openBreakerLeaves(t *testing.T, stack balanced) string {
	e := stack(t, 1, true, ok, ok, failing(fault.Internal))
	for range 300 {
		_, _ = e(t.Context(), nil) // until the breaker is open
	}
	failed := 0
	for range 300 {
		if _, err := e(t.Context(), nil); err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Sprintf("%d of 300 calls failed with 2 of 3 instances well", failed)
	}
	return ""
}

func retryGoesElsewhere(t *testing.T, stack balanced) string {
	// The sick one fails by accident, now and then, so that no breaker opens.
	var n atomic.Int32
	sick := func(context.Context, any) (any, error) {
		if n.Add(1)%3 != 0 {
			runtime.Gosched() // let the others turn the shared cursor
			return nil, fault.New(fault.Internal, "now and then")
		}
		return "ok", nil
	}
	e := stack(t, 2, true, ok, sick)
	var failed atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 100 {
				if _, err := e(t.Context(), nil); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		return fmt.Sprintf("%d of 3200 calls failed although the other instance was well", n)
	}
	return ""
}

func loadedGetsLess(t *testing.T, stack balanced) string {
	var slow, all atomic.Int32
	e := stack(t, 1, true, ok, ok, counted(&slow, func(context.Context, any) (any, error) {
		time.Sleep(50 * time.Millisecond)
		return "ok", nil
	}))
	stop := time.Now().Add(300 * time.Millisecond)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for time.Now().Before(stop) {
				all.Add(1)
				_, _ = e(t.Context(), nil)
			}
		})
	}
	wg.Wait()
	if share := float64(slow.Load()) / float64(all.Load()); share > 0.25 {
		return fmt.Sprintf("the slow instance got %.0f %% of the calls", 100*share)
	}
	return ""
}

func mistakesAreNotRepeated(t *testing.T, stack balanced) string {
	for _, code := range []fault.Code{fault.Invalid, fault.NotFound, fault.Limited, fault.Declined} {
		var tries atomic.Int32
		e := counted(&tries, failing(code))
		_, _ = stack(t, 3, true, e, e, e)(t.Context(), nil)
		if n := tries.Load(); n != 1 {
			return fmt.Sprintf("%s was tried %d times", code, n)
		}
	}
	return ""
}

func cancellationsAreNeutral(t *testing.T, stack balanced) string {
	hang := func(ctx context.Context, _ any) (any, error) {
		if ctx.Err() == nil {
			return "ok", nil
		}
		return nil, ctx.Err()
	}
	var gone context.CancelFunc
	e := stack(t, 1, true, func(ctx context.Context, request any) (any, error) {
		if gone != nil {
			gone() // the caller leaves during the call
		}
		return hang(ctx, request)
	})
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		gone = cancel
		_, _ = e(ctx, nil)
	}
	gone = nil
	if _, err := e(t.Context(), nil); err != nil {
		return "after 10 callers left, the healthy instance is refused: " + err.Error()
	}
	return ""
}

func hungCostsATry(t *testing.T, stack balanced) string {
	var first atomic.Bool
	either := func(ctx context.Context, _ any) (any, error) {
		if first.CompareAndSwap(false, true) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return "ok", nil
	}
	if _, err := stack(t, 3, true, either, either)(within(t, 300*time.Millisecond), nil); err != nil {
		return "the hung instance ate the whole deadline: " + err.Error()
	}
	return ""
}

func lostReplyIsNotDoneAgain(t *testing.T, stack balanced) string {
	var done atomic.Int32
	lost := counted(&done, failing(fault.Unavailable)) // it was done; the reply got lost
	_, _ = stack(t, 3, false, lost, lost, lost)(t.Context(), nil)
	if n := done.Load(); n != 1 {
		return fmt.Sprintf("the side effect happened %d times", n)
	}
	return ""
}

func errorsKeepIdentity(t *testing.T, stack balanced) string {
	cause := errors.New("cause")
	e := func(context.Context, any) (any, error) { return nil, fault.Wrap(fault.Unavailable, cause, "gone") }
	_, err := stack(t, 2, true, e, e)(t.Context(), nil)
	if !errors.Is(err, cause) || fault.CodeOf(err) != fault.Unavailable {
		return fmt.Sprintf("code %s, cause kept: %v", fault.CodeOf(err), errors.Is(err, cause))
	}
	return ""
}

func retryPauses(t *testing.T, stack balanced) string {
	e := failing(fault.Unavailable)
	took := make([]time.Duration, 15)
	for n := range took {
		start := time.Now()
		_, _ = stack(t, 3, true, e, e, e)(t.Context(), nil)
		took[n] = time.Since(start)
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median < time.Millisecond {
		return fmt.Sprintf("3 tries within %v", median)
	}
	return ""
}

func noGoroutinePerTry(t *testing.T, stack balanced) string {
	// A goroutine of its own shows in the stack: it does not contain this test.
	var trace string
	e := stack(t, 1, true, func(context.Context, any) (any, error) {
		buf := make([]byte, 64<<10)
		trace = string(buf[:runtime.Stack(buf, false)])
		return nil, nil
	})
	if _, err := e(t.Context(), nil); err != nil {
		return err.Error()
	}
	if !strings.Contains(trace, "noGoroutinePerTry(") {
		return "the try ran in a goroutine of its own"
	}
	return ""
}

// panicIsContained runs the panic in a process of its own: the stock one ends.
func panicIsContained(t *testing.T, stack balanced) string {
	if os.Getenv("MESH_TEST_PANIC") == "" {
		side := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.v",
			"-test.run=^TestTrapsOfCalls$/^a_panic_does_not_end_the_process$/^"+side+"$")
		child.Env = append(os.Environ(), "MESH_TEST_PANIC=1")
		if out, _ := child.CombinedOutput(); !strings.Contains(string(out), "survived") {
			return "the process ended"
		}
		return ""
	}
	_, err := stack(t, 1, true, func(context.Context, any) (any, error) { panic("boom") })(t.Context(), nil)
	t.Log("survived", err)
	return ""
}

// asking calls a service without instances and counts how often the set of
// instances is asked for.
type asking func(t *testing.T) (call func(context.Context) error, asked *atomic.Int32)

type countingSource struct {
	discovery.Source
	asked atomic.Int32
}

func (s *countingSource) Snapshot() *discovery.Snapshot {
	s.asked.Add(1)
	return s.Source.Snapshot()
}

type countingBalancer struct {
	lb.Balancer
	asked atomic.Int32
}

func (b *countingBalancer) Endpoint() (endpoint.Endpoint, error) {
	b.asked.Add(1)
	return b.Balancer.Endpoint()
}

func TestTrapNoEndpoints(t *testing.T) {
	trap[asking]{
		name: "no endpoints is no hot loop",
		body: func(t *testing.T, side asking) string {
			call, asked := side(t)
			err := call(within(t, 200*time.Millisecond))
			if n := asked.Load(); n > 10 {
				return fmt.Sprintf("asked %d times in 200 ms", n)
			}
			if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "x") {
				return fmt.Sprintf("the error does not say what is missing: %v", err)
			}
			return ""
		},
		ours: func(t *testing.T) (func(context.Context) error, *atomic.Int32) {
			source := &countingSource{Source: discovery.NewStatic()}
			x := target.New(target.Options{Service: "x", Source: source})
			t.Cleanup(func() { _ = x.Close() })
			return func(ctx context.Context) error {
				return x.Do(ctx, target.Call{Method: "x.M"}, func(context.Context, *target.Member) error { return nil })
			}, &source.asked
		},
		stock: func(*testing.T) (func(context.Context) error, *atomic.Int32) {
			b := &countingBalancer{Balancer: lb.NewRoundRobin(sd.FixedEndpointer{})}
			e := lb.RetryWithCallback(time.Second, b, func(int, error) (bool, error) { return true, nil })
			return func(ctx context.Context) error { _, err := e(ctx, nil); return err }, &b.asked
		},
	}.run(t)
}
