// Package target is the caller's side of the mesh. A Target stands for one
// called service: it follows its instances, keeps one connection to each, picks
// one per try, and tries again on another where that is safe.
package target

import (
	"log/slog"
	"slices"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/middleware"
)

// Options configures a Target. Only Service and Source are needed.
type Options struct {
	Service     string
	Source      discovery.Source           // the caller owns it and ends it after the Target
	DialOptions []grpc.DialOption          // after, and so over, the Target's own; interceptors must not keep the context of a unary call
	Breaker     middleware.BreakerSettings // of each instance, up to 30 s open; its name and functions are set here
	Eject       Eject
	Throttle    Throttle
	Retry       Retry
	Balance     Balance
	Tracer      *zipkin.Tracer // a client span per try, B3 headers with each call; nil: neither
	// PerTry wraps the endpoint of one method on one instance further, inside
	// the breaker and the span. Nil wraps nothing.
	PerTry  func(method string) endpoint.Middleware
	Metrics *Metrics      // nil counts nothing
	Logger  *slog.Logger  // nil says nothing
	Drain   time.Duration // how long a departed instance may finish its calls; 5 s if 0
	// FirstWait is how long a call waits for the first set of instances after
	// start-up; 100 ms if 0.
	FirstWait time.Duration
	// Rand is where all chance comes from, such as a seeded generator behind a
	// lock: it is called by calls that run at the same time. math/rand/v2's own
	// if nil.
	Rand func() uint64
}

// Eject says when an instance leaves the rotation because it is worse than the
// others; the zero value is usable. How many failures in a row and how long it
// stays out is for Breaker to say.
type Eject struct {
	// Share is the part of the set that may be out at the same time, for
	// whatever reason: a third if 0. One may be of any set of two or more, and
	// half of the set at least stays. Negative means nobody is ever out.
	Share float64
	// Margin is by how much the failure rate must surely exceed that of the
	// others; 0.05 if 0. Negative means that only failures in a row count.
	Margin float64
}

func (e Eject) withDefaults() Eject {
	if e.Share == 0 {
		e.Share = 1. / 3
	}
	if e.Margin == 0 {
		e.Margin = 0.05
	}
	return e
}

// Throttle says when calls are refused here because the instances would refuse
// them; the zero value is usable.
type Throttle struct {
	// K is how many calls are sent for each that is accepted while many are
	// refused for load. 2 if 0, so that they may refuse half before any is
	// throttled; less saves them more work and recovers later. At least 1;
	// negative means never.
	K float64
}

func (t Throttle) withDefaults() Throttle {
	switch {
	case t.K == 0:
		t.K = 2
	case t.K > 0:
		t.K = max(t.K, 1)
	}
	return t
}

// Retry says when a failed try is repeated; the zero value is usable. Only
// faults that are fault.Retryable are, not before their RetryAfter, only on an
// instance that the call has not tried, only inside the caller's deadline and
// only while the budget lasts. What an instance shed (fault.Overloaded) goes to
// another once, if that one shed nothing lately.
type Retry struct {
	Max  int           // tries in all; 3 if 0, at most 8
	Base time.Duration // the first pause is random up to it, and doubles; 5 ms if 0
	Cap  time.Duration // the longest pause; 100 ms if 0
	// Ratio and Floor make the budget: retries may be that share of the calls of
	// the last 10 s, plus Floor per second. 0.2 and 10 if 0; negative means none.
	Ratio float64
	Floor float64
	// TryTimeout bounds one try; TryShare bounds it by a share (0 to 1) of the
	// time that the caller has left; up to 20 ms may be added. The last try may
	// use all of it. A try that runs into its bound counts as fault.Unavailable.
	// 0 means no bound.
	TryTimeout time.Duration
	TryShare   float64
	// Once lists the methods, such as "orders.Note", that are neither idempotent
	// nor keyed: they are repeated only when they were provably not sent.
	Once []string
	// Hedge lists the methods whose slow calls are overtaken: where there is no
	// answer after the time that 95 % of the method's answers take, the call is
	// tried on a second instance too, within the budget and for at most 5 % of
	// the calls. The first answer wins and the other try is cancelled. Only for
	// methods that Once does not list.
	Hedge []string
}

func (r Retry) hedges(method string) bool { return slices.Contains(r.Hedge, method) }

// maxTries bounds the list of tried instances, which lives on the stack.
const maxTries = 8

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Drain <= 0 {
		o.Drain = 5 * time.Second
	}
	if o.FirstWait <= 0 {
		o.FirstWait = 100 * time.Millisecond
	}
	o.Retry = o.Retry.withDefaults()
	o.Balance = o.Balance.withDefaults()
	o.Eject = o.Eject.withDefaults()
	o.Throttle = o.Throttle.withDefaults()
	if o.Breaker.ConsecutiveFailures <= 0 {
		o.Breaker.ConsecutiveFailures = 5
	}
	if o.Breaker.OpenFor <= 0 {
		o.Breaker.OpenFor = time.Second
	}
	if o.Breaker.ProbeFor <= 0 {
		o.Breaker.ProbeFor = o.Breaker.OpenFor
	}
	if o.Breaker.Probes <= 0 {
		o.Breaker.Probes = 3 // of an instance that fails half of its calls one in two would bring it back
	}
	if o.Breaker.OpenMost <= 0 {
		o.Breaker.OpenMost = 30 * time.Second
	}
	return o
}

func (r Retry) withDefaults() Retry {
	if r.Max <= 0 {
		r.Max = 3
	}
	r.Max = min(r.Max, maxTries)
	if r.Base <= 0 {
		r.Base = 5 * time.Millisecond
	}
	if r.Cap <= 0 {
		r.Cap = 100 * time.Millisecond
	}
	if r.Ratio == 0 {
		r.Ratio = 0.2
	}
	if r.Floor == 0 {
		r.Floor = 10
	}
	r.Ratio, r.Floor = max(r.Ratio, 0), max(r.Floor, 0)
	return r
}
