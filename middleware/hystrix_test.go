package middleware

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// eventually polls: hystrix-go books its metrics in goroutines of its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

var runs atomic.Int64

// unique gives each run of a test commands of its own: hystrix-go keeps them.
func unique() string { return "-" + strconv.FormatInt(runs.Add(1), 10) }

// tally counts outcomes.
type tally struct {
	mu sync.Mutex
	n  map[Outcome]int
}

func (c *tally) observe(o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[Outcome]int)
	}
	c.n[o]++
}

func (c *tally) of(o Outcome) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[o]
}

func isOpen(t *testing.T, name string) bool {
	t.Helper()
	c, _, err := hystrix.GetCircuit(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.IsOpen()
}

func TestHystrixOpensForFailuresOnly(t *testing.T) {
	n := unique()
	for _, code := range []fault.Code{fault.NotFound, fault.Invalid, fault.Conflict, fault.Limited, fault.Overloaded} {
		name := "own-" + n + string(code)
		e := Hystrix(HystrixSettings{Name: name, RequestVolume: 5}, nil)(failing(fault.New(code, "no")))
		for range 40 {
			wantCode(t, call(t, e), code)
		}
		if isOpen(t, name) {
			t.Errorf("%s opened the circuit", code)
		}
	}
	var seen tally
	e := Hystrix(HystrixSettings{Name: "failing" + n, MaxConcurrent: 1, RequestVolume: 5, SleepWindow: time.Minute, Observe: seen.observe}, nil)(broken)
	eventually(t, "the circuit opens", func() bool { return errors.Is(call(t, e), ErrOpen) })
	_ = call(t, e) // what the circuit refuses gives its place in the bulkhead back
	err := call(t, e)
	wantCode(t, err, fault.Unavailable)
	if fault.RetryAfterOf(err) != time.Minute || seen.of(ShortCircuited) == 0 || seen.of(Failure) < 5 {
		t.Errorf("retry after %v, outcomes %v", fault.RetryAfterOf(err), seen.n)
	}
}

func TestHystrixBulkhead(t *testing.T) {
	n := unique()
	const healthy, room = 40, 10
	// meanwhile runs while the bulkhead is full.
	run := func(e endpoint.Endpoint, began *atomic.Int64, meanwhile func()) (rejected int64, last error) {
		block := make(chan struct{})
		var no atomic.Int64
		var all sync.WaitGroup
		var mu sync.Mutex
		for range healthy {
			all.Go(func() {
				if _, err := e(t.Context(), block); err != nil {
					no.Add(1)
					mu.Lock()
					last = err
					mu.Unlock()
				}
			})
		}
		eventually(t, "all have room or not", func() bool { return began.Load()+no.Load() == healthy })
		meanwhile()
		close(block)
		all.Wait()
		return no.Load(), last
	}
	waiting := func(began *atomic.Int64) endpoint.Endpoint {
		return func(_ context.Context, request any) (any, error) {
			began.Add(1)
			<-request.(chan struct{})
			return "fine", nil
		}
	}

	var began atomic.Int64
	guard := Hystrix(HystrixSettings{Name: "bulk" + n, MaxConcurrent: room, RequestVolume: 5, Timeout: time.Minute}, nil)
	rejected, err := run(guard(waiting(&began)), &began, func() {
		if isOpen(t, "bulk"+n) {
			t.Error("a full bulkhead opened the circuit")
		}
	})
	wantCode(t, err, fault.Overloaded)
	if rejected != healthy-room || !errors.Is(err, ErrBulkhead) || errors.Is(err, ErrOpen) {
		t.Fatalf("%d rejected with %v, want %d with ErrBulkhead", rejected, err, healthy-room)
	}
	if err := call(t, guard(fine)); err != nil || isOpen(t, "bulk"+n) {
		t.Fatalf("a full bulkhead opened the circuit: %v", err)
	}

	t.Run("stock", func(t *testing.T) {
		var began atomic.Int64
		rejected, _ := run(circuitbreaker.Hystrix("stock-bulk"+n)(waiting(&began)), &began, func() {
			eventually(t, "rejections of healthy calls open the stock circuit", func() bool { return isOpen(t, "stock-bulk"+n) })
		})
		if rejected != 30 {
			t.Fatalf("stock defaults rejected %d of 40, it used to be 30", rejected)
		}
	})
}

func TestHystrixTimeout(t *testing.T) {
	n := unique()
	var seen tally
	ended := make(chan struct{})
	guard := Hystrix(HystrixSettings{Name: "slow" + n, Timeout: 30 * time.Millisecond, MaxConcurrent: 1, Observe: seen.observe}, nil)
	err := call(t, guard(func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done() // the timeout reaches the call
		close(ended)
		return nil, ctx.Err()
	}))
	wantCode(t, err, fault.Deadline)
	if seen.of(Timeout) != 1 || !strings.Contains(err.Error(), "30ms") {
		t.Errorf("%v, outcomes %v", err, seen.n)
	}
	<-ended
	eventually(t, "the permit comes back", func() bool { return call(t, guard(fine)) == nil })
}

// The stock adapter calls Do: a caller who leaves is kept waiting.
func TestHystrixCallerLeaves(t *testing.T) {
	n := unique()
	deaf := func(block chan struct{}) endpoint.Endpoint {
		return func(context.Context, any) (any, error) { <-block; return nil, nil }
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	block := make(chan struct{})
	var seen tally
	guard := Hystrix(HystrixSettings{Name: "left" + n, RequestVolume: 5, Timeout: time.Minute, Observe: seen.observe},
		func(context.Context, any, error) (any, error) { t.Error("a fallback for nobody"); return nil, nil })
	for range 40 {
		_, err := guard(deaf(block))(ctx, nil)
		wantCode(t, err, fault.Canceled)
	}
	close(block)
	if isOpen(t, "left"+n) || seen.of(Left) != 40 {
		t.Fatalf("open %v, outcomes %v", isOpen(t, "left"+n), seen.n)
	}
	soon, cancelSoon := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelSoon()
	hang := make(chan struct{})
	_, err := guard(deaf(hang))(soon, nil)
	wantCode(t, err, fault.Deadline)
	close(hang)

	t.Run("stock", func(t *testing.T) {
		block := make(chan struct{})
		e := circuitbreaker.Hystrix("stock-left" + n)(deaf(block))
		returned := make(chan struct{})
		go func() { _, _ = e(ctx, nil); close(returned) }()
		select {
		case <-returned:
			t.Error("the stock adapter honours cancellation: no trap any more")
		case <-time.After(100 * time.Millisecond):
		}
		close(block)
		<-returned
	})
}

// A dependency that hangs until the callers' deadlines must open the circuit.
func TestHystrixCallersDeadlinesCount(t *testing.T) {
	n := unique()
	guard := Hystrix(HystrixSettings{Name: "hung" + n, RequestVolume: 5, SleepWindow: time.Minute, Timeout: time.Minute}, nil)
	e := guard(func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	eventually(t, "the circuit opens", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := e(ctx, nil)
		return errors.Is(err, ErrOpen)
	})
}

func TestHystrixCancelledProbeDecidesNothing(t *testing.T) {
	n := unique()
	guard := Hystrix(HystrixSettings{Name: "probe" + n, RequestVolume: 5, SleepWindow: 5 * time.Millisecond}, nil)
	eventually(t, "the circuit opens", func() bool { return errors.Is(call(t, guard(broken)), ErrOpen) })
	probed := false
	eventually(t, "a probe is let through", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := guard(func(ctx context.Context, _ any) (any, error) {
			probed = true
			cancel()
			return "fine", nil
		})(ctx, nil)
		return !errors.Is(err, ErrOpen) && probed
	})
	if !isOpen(t, "probe"+n) {
		t.Fatal("a cancelled probe closed the circuit")
	}
	eventually(t, "a good probe closes it", func() bool { return call(t, guard(fine)) == nil && !isOpen(t, "probe"+n) })
}

func TestHystrixFallback(t *testing.T) {
	n := unique()
	for _, tt := range []struct {
		err      error
		replaced bool
	}{
		{fault.New(fault.Unavailable, "down"), true},
		{fault.New(fault.Internal, "bug"), true},
		{fault.New(fault.Deadline, "slow"), true},
		{fault.New(fault.Overloaded, "shed"), true},
		{fault.New(fault.Limited, "fast"), true},
		{fault.New(fault.NotFound, "what?"), false},
		{fault.New(fault.Invalid, "what?"), false},
		{fault.New(fault.Canceled, "bye"), false},
	} {
		var seen tally
		guard := Hystrix(HystrixSettings{Name: "fallback-" + n + tt.err.Error(), Observe: seen.observe}, func(_ context.Context, request any, err error) (any, error) {
			if request != "request" || !errors.Is(err, tt.err) {
				t.Errorf("the fallback got %v, %v", request, err)
			}
			return "instead", nil
		})
		got, err := guard(failing(tt.err))(t.Context(), "request")
		if replaced := got == "instead" && err == nil; replaced != tt.replaced || seen.of(FellBack) == 1 != tt.replaced {
			t.Errorf("%v: got %v, %v, outcomes %v", tt.err, got, err, seen.n)
		}
	}
}

func TestHystrixPanic(t *testing.T) {
	n := unique()
	e := Hystrix(HystrixSettings{Name: "panics" + n}, nil)(func(context.Context, any) (any, error) { panic("oops") })
	err := call(t, e)
	wantCode(t, err, fault.Internal)
	if p, ok := errors.AsType[*PanicError](err); !ok || len(p.Stack) == 0 {
		t.Errorf("no stack: %v", err)
	}
}

func TestHystrixAnswersAreTheCalls(t *testing.T) {
	n := unique()
	guard := Hystrix(HystrixSettings{Name: "echo" + n, MaxConcurrent: 64}, nil)
	e := guard(func(_ context.Context, request any) (any, error) { return request, nil })
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 200 {
				if got, err := e(t.Context(), g*1000+i); err != nil || got != g*1000+i {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

// hystrixGoroutines counts what hystrix-go keeps running.
func hystrixGoroutines() int {
	buf := make([]byte, 8<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), ").Monitor(")
}

// hystrix-go's goroutines outlive everything, Flush included. A command per
// instance, which is how go-kit's factories make breakers, adds some with each
// instance that ever came by; a command per dependency has the same few.
func TestHystrixGoroutinesAreFixed(t *testing.T) {
	n := unique()
	const instances = 50
	grown := func(calls func()) int {
		before := hystrixGoroutines()
		calls()
		hystrix.Flush()
		return hystrixGoroutines() - before
	}
	if more := grown(func() {
		var came []endpoint.Endpoint
		pick := 0
		balanced := func(ctx context.Context, request any) (any, error) {
			pick++
			return came[pick%len(came)](ctx, request)
		}
		guard := Hystrix(HystrixSettings{Name: "dependency" + n}, nil)
		ring := ClientRing{Target: "x", Guard: func(string) endpoint.Middleware { return guard }}
		for i := range instances {
			came = append(came, fine)
			if err := call(t, ring.Call("x.M"+strconv.Itoa(i), balanced)); err != nil {
				t.Fatal(err)
			}
		}
	}); more > 2 {
		t.Errorf("%d goroutines for one dependency, want 2", more)
	}

	t.Run("stock", func(t *testing.T) {
		more := grown(func() {
			for i := range instances {
				factory := circuitbreaker.Hystrix("stock-instance-" + strconv.Itoa(i) + n)
				_ = call(t, factory(fine))
			}
		})
		if more < instances {
			t.Errorf("%d goroutines stay for %d instances: no trap any more", more, instances)
		}
	})
}
