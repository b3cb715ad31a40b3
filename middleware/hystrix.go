package middleware

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// poolSlack is added to hystrix's own pool, which must never be the one to
// refuse: it counts refusals as failures. DoC returns before the ticket of its
// call is back, so under load many tickets are on their way.
const poolSlack = 1 << 14

// ErrBulkhead marks calls that a Hystrix command refused because too many of
// its calls were running.
var ErrBulkhead = errors.New("bulkhead is full")

// Outcome is how a call through Hystrix ended.
type Outcome string

// The outcomes of a call through Hystrix. A fallback is counted besides the
// outcome that called for it.
const (
	Success        Outcome = "success"
	Failure        Outcome = "failure"
	Timeout        Outcome = "timeout"
	ShortCircuited Outcome = "short_circuited"
	Rejected       Outcome = "rejected"
	Left           Outcome = "canceled" // by the caller
	FellBack       Outcome = "fallback"
)

// Outcomes lists every Outcome.
func Outcomes() []Outcome {
	return []Outcome{Success, Failure, Timeout, ShortCircuited, Rejected, Left, FellBack}
}

// HystrixSettings configures a command. Zero values take the defaults named
// here, never hystrix-go's own of 10 concurrent calls and 1 s, which reject
// and time out healthy calls.
type HystrixSettings struct {
	Name          string        // of the command, unique in the process
	Timeout       time.Duration // of a call, retries included; 2 s if 0
	MaxConcurrent int           // calls at once, the next is refused; 200 if 0
	ErrorPercent  int           // of failures that opens the circuit; 50 if 0
	SleepWindow   time.Duration // until an open circuit is tried again; 1 s if 0
	RequestVolume int           // calls within 10 s before the circuit may open; 20 if 0
	Observe       func(Outcome) // counts outcomes; may be nil
}

func (s HystrixSettings) withDefaults() HystrixSettings {
	or := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	or(&s.MaxConcurrent, 200)
	or(&s.ErrorPercent, 50)
	or(&s.RequestVolume, 20)
	if s.Timeout <= 0 {
		s.Timeout = 2 * time.Second
	}
	if s.SleepWindow <= 0 {
		s.SleepWindow = time.Second
	}
	if s.Observe == nil {
		s.Observe = func(Outcome) {}
	}
	return s
}

// Fallback answers in place of a dependency that did not. err says why.
type Fallback func(ctx context.Context, request any, err error) (any, error)

// Hystrix guards a dependency with a bulkhead, a timeout and a circuit. The
// fallback, which may be nil, answers for failures, refusals and overload, not
// for the caller's own faults and not for a caller who left.
//
// What kit's adapter gets wrong and this one does not: the call stops when its
// caller leaves or the timeout passes; the caller's own faults and departures
// do not open the circuit; a full bulkhead does not either, because it is ours
// and hystrix never sees the call; a panic in hystrix's goroutine is an error.
//
// hystrix-go keeps commands for the life of the process, with a few goroutines
// each: make one per dependency, never one per instance or request.
func Hystrix(s HystrixSettings, fallback Fallback) endpoint.Middleware {
	s = s.withDefaults()
	hystrix.ConfigureCommand(s.Name, hystrix.CommandConfig{
		Timeout:                int(max(s.Timeout.Milliseconds(), 1)),
		MaxConcurrentRequests:  s.MaxConcurrent + poolSlack,
		ErrorPercentThreshold:  s.ErrorPercent,
		SleepWindow:            int(max(s.SleepWindow.Milliseconds(), 1)),
		RequestVolumeThreshold: s.RequestVolume,
	})
	h := &command{HystrixSettings: s, permits: make(chan struct{}, s.MaxConcurrent), figures: newFigures()}
	enlist(h)
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			response, err := h.do(ctx, request, next)
			if err == nil || fallback == nil || !replaceable(ctx, err) {
				return response, err
			}
			h.seen(FellBack)
			return fallback(ctx, request, err)
		}
	}
}

// replaceable reports whether a fallback may answer in place of err.
func replaceable(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false // nobody waits for it
	}
	code := fault.CodeOf(err)
	return fault.Failure(err) || code == fault.Overloaded || code == fault.Limited
}

// command is a configured hystrix command with our bulkhead.
type command struct {
	HystrixSettings
	permits chan struct{} // one for each running call
	figures *figures
}

// seen books an outcome.
func (c *command) seen(o Outcome) {
	c.figures.book(o)
	c.Observe(o)
}

func (c *command) do(ctx context.Context, request any, next endpoint.Endpoint) (any, error) {
	select {
	case c.permits <- struct{}{}:
	default:
		c.seen(Rejected)
		return nil, &fault.Error{Code: fault.Overloaded, Cause: ErrBulkhead, Message: c.Name + " has too many calls running; come back later"}
	}
	c.figures.busiest.UpdateMax(float64(len(c.permits)))
	// A call that hystrix gave up on keeps its permit until it really ends:
	// that is what a bulkhead is for. Cancelling makes it end soon.
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &execution{ctx: ctx, release: func() { <-c.permits }}
	waitCtx, stop := patient(ctx)
	defer stop()
	begin := time.Now()
	err := hystrix.DoC(waitCtx, c.Name, func(context.Context) error {
		return run.run(callCtx, request, next)
	}, nil)
	if !run.abandon() {
		c.figures.ran(time.Since(begin))
	}
	// Only a bare CircuitError is hystrix's own; a wrapped one comes from a
	// command further down and is the result of this call.
	_, refused := err.(hystrix.CircuitError) //nolint:errorlint // the identity is the point
	if r := run.result.Load(); r != nil && !refused {
		c.seen(outcomeOf(r.err))
		return r.response, r.err
	}
	if ctx.Err() != nil && !refused {
		err = ctx.Err()
	}
	return nil, c.fault(err)
}

// grace is how long a call may take to notice its caller's deadline.
const grace = 20 * time.Millisecond

// patient returns the context that hystrix waits on. It ends with a
// cancellation at once, but with the caller's deadline only after a grace:
// hystrix does not count deadlines as failures, so a dependency that hangs
// would never open its circuit. The call itself, which ends with the deadline
// and is counted, gets to speak first.
func patient(ctx context.Context) (context.Context, func()) {
	waitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t := time.NewTimer(grace)
			defer t.Stop()
			select {
			case <-t.C:
			case <-waitCtx.Done():
			}
		}
		cancel()
	})
	return waitCtx, func() { stop(); cancel() }
}

func outcomeOf(err error) Outcome {
	switch {
	case fault.Failure(err):
		return Failure
	case fault.CodeOf(err) == fault.Canceled:
		return Left
	}
	return Success
}

// fault translates what hystrix itself ended a call with.
func (c *command) fault(err error) error {
	switch {
	case errors.Is(err, hystrix.ErrCircuitOpen):
		c.seen(ShortCircuited)
		return &fault.Error{Code: fault.Unavailable, Cause: ErrOpen, RetryAfter: c.SleepWindow, Message: c.Name + " kept failing and is left alone for a moment"}
	case errors.Is(err, hystrix.ErrMaxConcurrency):
		c.seen(Rejected)
		return &fault.Error{Code: fault.Overloaded, Cause: ErrBulkhead, Message: c.Name + " has too many calls running; come back later"}
	case errors.Is(err, hystrix.ErrTimeout):
		c.seen(Timeout)
		return fault.Wrap(fault.Deadline, err, "%s did not answer within %v", c.Name, c.Timeout)
	case errors.Is(err, context.Canceled):
		c.seen(Left)
		return left(err, "while "+c.Name+" was called")
	}
	c.seen(Timeout)
	return left(err, "while "+c.Name+" was called")
}

// execution is one call. hystrix may start it after it gave up on it, and may
// give up on it while it runs.
type execution struct {
	ctx     context.Context // the caller's
	state   atomic.Int32    // 0 waiting, 1 started, 2 abandoned before it started
	result  atomic.Pointer[result]
	release func()
}

type result struct {
	response any
	err      error
}

// run executes the call in hystrix's goroutine and says what hystrix shall
// count: nil is a success, context.Canceled nothing, all else a failure.
func (x *execution) run(ctx context.Context, request any, next endpoint.Endpoint) error {
	if !x.state.CompareAndSwap(0, 1) {
		return context.Canceled
	}
	defer x.release()
	response, err := Recover(next)(ctx, request)
	// Within the same breath as the caller's departure there is nothing to
	// learn from err; without the exact value hystrix would count a failure.
	if errors.Is(x.ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	if err == nil || !fault.Failure(err) && fault.CodeOf(err) != fault.Canceled {
		x.result.Store(&result{response, err})
		return nil
	}
	x.result.Store(&result{nil, err})
	if fault.CodeOf(err) == fault.Canceled {
		return context.Canceled
	}
	return errFailed
}

// errFailed is what hystrix counts for every failure. The call's own error
// would not do: hystrix does not count a bare context.DeadlineExceeded.
var errFailed = errors.New("the call failed")

// abandon gives the permit back if the call never started, and reports that.
func (x *execution) abandon() bool {
	if !x.state.CompareAndSwap(0, 2) {
		return false
	}
	x.release()
	return true
}
