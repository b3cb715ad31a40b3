package target

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Call says what is called.
type Call struct {
	Method     string // "catalog.Get"
	Idempotent bool   // doing it twice equals doing it once: by nature or by a key
}

// work is what a try does on the member that was picked.
type work struct {
	do func(context.Context, *Member) error // of Do; nil for an endpoint

	slot    int // of Member.endpoint
	build   func(grpc.ClientConnInterface) endpoint.Endpoint
	request any
}

func (w *work) try(ctx context.Context, m *Member) (response any, err error) {
	if w.do != nil {
		return nil, w.do(ctx, m)
	}
	return m.endpoint(w.slot, w.build)(ctx, w.request)
}

// progress is the state of one call. It lives on the caller's stack.
type progress struct {
	work     work
	method   *method
	once     bool                    // it must not be repeated
	at       *atomic.Pointer[Member] // tells a hedge where the call is now; nil without one
	hedge    bool                    // it is the hedge of another try
	not      tried                   // members that were tried or refused the call
	went     tried                   // members that were tried
	last     error                   // of the last try
	cold     bool                    // the pick had no connection: its time says nothing
	probe    time.Duration           // the limit of a try that asks a suspect; 0: it is none
	until    time.Duration           // the end of the wait for the first set; 0 before it began
	panicked bool
	shed     bool // an instance shed it, and the next must not be likely to
	rank     int8 // of its priority
}

// Do calls try on one instance after another until one succeeds or there is a
// reason to stop: the error is the caller's own, the call must not be repeated,
// every instance was tried, or tries, budget or time ran out. The error has the
// last try's fault code. A panic in try becomes fault.Internal and is not
// repeated; only http.ErrAbortHandler passes through, as net/http wants it.
//
// try gets a context that carries middleware.Peer and ends when the try's time
// is over or the instance falls silent. It should return faults; plain gRPC
// errors are read as such. It must not keep the Member.
func (t *Target) Do(ctx context.Context, call Call, try func(ctx context.Context, in *Member) error) error {
	p := progress{work: work{do: try}, method: t.method(call.Method), once: !call.Idempotent}
	_, err := t.run(ctx, &p)
	return err
}

// run makes one try after another.
func (t *Target) run(ctx context.Context, p *progress) (any, error) {
	if err := t.throttled(ctx, p); err != nil {
		return nil, err
	}
	t.begin(p)
	for {
		m, permit, err := t.choose(ctx, p)
		if err != nil {
			return nil, err
		}
		response, err := t.once(ctx, p, m, permit)
		if err == nil {
			return response, nil
		}
		why, delay := t.verdict(ctx, p, err)
		if why != "" {
			return nil, t.failed(p, why)
		}
		pause(ctx, delay)
	}
}

// begin counts a call.
func (t *Target) begin(p *progress) {
	t.calls.Add(1)
	t.budget.call()
	p.not.once = p.once
}

// choose picks a member and counts the call in. It waits only while discovery
// has not answered yet, briefly.
func (t *Target) choose(ctx context.Context, p *progress) (*Member, permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, permit{}, t.gaveUp(p, err)
	}
	if p.method.keyed && p.not.key == 0 {
		p.not.key = t.keyOf(ctx, p.method.name, p.work.request)
	}
	// Each round returns, or marks a member as not usable, or finds a newer set.
	for range 2 * maxTries {
		s := t.set.Load()
		now := t.now()
		m, level := s.pick(&p.not, now)
		if m == nil {
			if s.ready || len(s.members) > 0 || !t.awaitFirst(ctx, p, s) {
				return nil, permit{}, t.nobody(p, s)
			}
			continue
		}
		if p.shed && m.shedding(now) {
			p.not.add(m)
			continue
		}
		n := m.acquire(now)
		if n == 0 {
			continue // it retired meanwhile: the set is newer now
		}
		allowed, err := m.breaker.Allow()
		if err != nil && (level != hopeless || n > 1) {
			m.release()
			p.not.add(m) // another caller's probe is under way
			continue
		}
		p.cold = level == hopeless || level == warming
		p.probe = 0
		if (level == suspected || level == due) && s.offersFit(m, now) {
			p.probe = probeLimit(ctx, m)
		}
		return m, permit{allowed, err == nil}, nil
	}
	return nil, permit{}, t.nobody(p, t.set.Load())
}

// awaitFirst waits for the first set after start-up, and reports whether there
// is a new one.
func (t *Target) awaitFirst(ctx context.Context, p *progress, s *set) bool {
	if p.until == 0 {
		p.until = t.now() + t.opts.FirstWait
	}
	left := p.until - t.now()
	if t.ctx.Err() != nil || left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-s.changed:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-t.ctx.Done():
	}
	return false
}

// contain turns a panic into an error; the process has other calls to serve.
func (t *Target) contain(panicked any, method string) error {
	if e, ok := panicked.(error); ok && errors.Is(e, http.ErrAbortHandler) {
		panic(panicked)
	}
	t.log.Error("a call panicked", "method", method, "panic", panicked, "stack", string(debug.Stack()))
	return &Error{
		Service: t.opts.Service, Method: method, Tries: 1, Why: "it panicked",
		Last: fault.New(fault.Internal, "%s: an internal error", method),
	}
}
