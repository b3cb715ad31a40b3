package target

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// Call says what is called.
type Call struct {
	Method     string // "catalog.Get"
	Idempotent bool   // doing it twice equals doing it once: by nature or by a key
}

// progress is the state of one call. It lives on the caller's stack.
type progress struct {
	call     Call
	try      func(context.Context, *Member) error
	not      tried         // members that were tried or refused the call
	went     tried         // members that were tried
	last     error         // of the last try
	cold     bool          // the pick had no connection: its time says nothing
	probe    time.Duration // the limit of a try that asks a suspect; 0: it is none
	until    time.Duration // the end of the wait for the first set; 0 before it began
	panicked bool
}

// errPanicked is what a contained panic is booked as: the caller's own bug says
// nothing about the instance.
var errPanicked = fault.New(fault.Canceled, "the call panicked")

// Do calls try on one instance after another until one succeeds or there is a
// reason to stop: the error is the caller's own, the call must not be repeated,
// every instance was tried, or tries, budget or time ran out. The error has the
// last try's fault code. A panic in try becomes fault.Internal and is not
// repeated; only http.ErrAbortHandler passes through, as net/http wants it.
//
// try gets a context that carries middleware.Peer and, if so configured, the
// time limit of the try. It should return faults; plain gRPC errors are read as
// such. It must not keep the Member.
func (t *Target) Do(ctx context.Context, call Call, try func(ctx context.Context, in *Member) error) error {
	t.budget.call()
	p := progress{call: call, try: try}
	p.not.once = !call.Idempotent
	for {
		m, permit, err := t.choose(ctx, &p)
		if err != nil {
			return err
		}
		p.went.add(m)
		p.not.add(m)
		err = t.once(ctx, &p, m, permit)
		if err == nil {
			return nil
		}
		p.last = err
		if why := t.verdict(ctx, &p, err); why != "" {
			return t.failed(&p, why)
		}
	}
}

// permit is the breaker's admission; without one the call passes it by.
type permit struct {
	middleware.Permit
	held bool
}

func (p permit) done(ctx context.Context, err error) {
	if p.held {
		p.Done(ctx, err)
	}
}

// choose picks a member and counts the call in. It waits only while discovery
// has not answered yet, briefly.
func (t *Target) choose(ctx context.Context, p *progress) (*Member, permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, permit{}, t.gaveUp(p, err)
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
		n := m.acquire(now)
		if n == 0 {
			continue // it retired meanwhile: the set is newer now
		}
		allowed, err := m.breaker.Load().Allow()
		if err != nil && (level != hopeless || n > 1) {
			m.release()
			p.not.add(m) // another caller's probe is under way
			continue
		}
		p.cold = level == hopeless || level == warming
		p.probe = 0
		if level == suspected && s.offersFit(m, now) {
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

// once makes one try and books what it says about the member.
func (t *Target) once(ctx context.Context, p *progress, m *Member, pass permit) (err error) {
	instance := m.instance.Load()
	m.picks.Add(1)
	tryCtx := middleware.WithPeer(ctx, middleware.Peer{
		Service: t.opts.Service, Instance: instance.ID, Addr: instance.Addr,
		Zone: instance.Zone, Version: instance.Version,
		Breaker: m.breaker.Load().State(), Try: p.went.n,
	})
	d := t.tryLimit(ctx, p.went.n)
	if p.probe > 0 && (d <= 0 || p.probe < d) {
		d = p.probe
	}
	if d > 0 {
		var cancel context.CancelFunc
		tryCtx, cancel = context.WithTimeout(tryCtx, d)
		defer cancel()
	}
	start, returned := t.now(), false
	defer func() {
		if !returned {
			err = errPanicked
		}
		pass.done(ctx, err)
		m.release()
		if returned {
			return
		}
		if panicked := recover(); panicked != nil { // nil: the goroutine ends, as tests do
			p.panicked = true
			err = t.contain(panicked, p.call)
		}
	}()
	if err = p.try(tryCtx, m); err != nil {
		err = classify(ctx, tryCtx, t.opts.Service, instance.ID, err)
	}
	returned = true
	if err == nil || tryCtx.Err() == nil && !notSent(err) {
		m.heard(t.now())
	}
	t.book(ctx, p, m, start, err)
	return err
}

// book notes what the outcome of a try that began at start says about the
// member. Its time counts only where there was an answer over a connection that
// stood before; a caller that left was at least that long without one.
func (t *Target) book(ctx context.Context, p *progress, m *Member, start time.Duration, err error) {
	now := t.now()
	rtt, left := now-start, err != nil && ctx.Err() != nil
	switch {
	case err == nil:
		m.answered()
	case notSent(err):
		m.failures.Add(1)
		m.refused(now)
		return
	case fault.Blames(err):
		m.failures.Add(1)
		if !left {
			rtt = max(rtt, t.opts.Balance.Penalty)
		}
	default:
		m.answered()
	}
	if !p.cold && !m.stall.suspect.Load() { // a silence is no measure of its answers
		m.latency.observe(now, rtt, t.opts.Balance.Decay, left || fault.Blames(err))
	}
}

// contain turns a panic into an error; the process has other calls to serve.
func (t *Target) contain(panicked any, call Call) error {
	if e, ok := panicked.(error); ok && errors.Is(e, http.ErrAbortHandler) {
		panic(panicked)
	}
	t.log.Error("a call panicked", "method", call.Method, "panic", panicked, "stack", string(debug.Stack()))
	return &Error{
		Service: t.opts.Service, Method: call.Method, Tries: 1, Why: "it panicked",
		Last: fault.New(fault.Internal, "%s: an internal error", call.Method),
	}
}

// tryLimit is the time limit of try n, 0 for none. The last try may use all the
// time that the caller has.
func (t *Target) tryLimit(ctx context.Context, n int) time.Duration {
	limit := t.opts.Retry.TryTimeout
	if n >= t.opts.Retry.Max {
		return 0
	}
	if share := t.opts.Retry.TryShare; share > 0 {
		if deadline, ok := ctx.Deadline(); ok {
			part := time.Duration(float64(time.Until(deadline)) * share)
			if limit <= 0 || part < limit {
				limit = max(part, time.Millisecond)
			}
		}
	}
	return limit
}

// verdict decides whether the call ends with err and says why, or pauses before
// the next try and returns "".
func (t *Target) verdict(ctx context.Context, p *progress, err error) string {
	unsent := notSent(err)
	switch {
	case ctx.Err() != nil:
		return "the caller's time is over"
	case p.panicked, !fault.Retryable(err):
		return "another instance would say the same"
	case !p.call.Idempotent && !unsent:
		return "it must not be repeated"
	case p.went.n >= t.opts.Retry.Max:
		return "no further try allowed"
	case !t.set.Load().offers(&p.not):
		return "no other instance"
	case !t.budget.retry():
		return "the retry budget is spent"
	}
	delay := t.backoff(p.went.n, unsent)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return "no time for another try"
	}
	pause(ctx, delay)
	t.metrics.retries.Inc()
	t.retries.Add(1)
	return ""
}

// backoff is the pause after try n: random up to a bound that doubles, so that
// callers that failed together do not return together. The first retry of a
// call that reached nobody waits for nothing.
func (t *Target) backoff(n int, unsent bool) time.Duration {
	if n == 1 && unsent {
		return 0
	}
	return rand.N(min(t.opts.Retry.Base<<(n-1), t.opts.Retry.Cap) + 1)
}

// offers reports whether a member is left that the call may try.
func (s *set) offers(not *tried) bool {
	for _, m := range s.members {
		if !not.has(m) {
			return true
		}
	}
	return false
}

// offersFit reports whether a call could go to a fit member other than m.
func (s *set) offersFit(m *Member, now time.Duration) bool {
	for _, other := range s.members[:min(len(s.members), 4*draws)] {
		if other != m && other.fitness(now) == fit {
			return true
		}
	}
	return false
}

// failed is the error of a call that made tries. The caller's own mistakes pass
// as they are: they happen all the time and no try explains them.
func (t *Target) failed(p *progress, why string) error {
	if p.went.n == 1 && !fault.Failure(p.last) || p.panicked {
		return p.last
	}
	e := &Error{Service: t.opts.Service, Method: p.call.Method, Tries: p.went.n, Why: why, Last: p.last}
	for _, m := range p.went.list[:p.went.n] {
		e.Instances = append(e.Instances, m.instance.Load().ID)
	}
	if !fault.Failure(p.last) {
		return e
	}
	return fault.From(t.opts.Service, e)
}

// nobody is the error of a call that found no member to go to.
func (t *Target) nobody(p *progress, s *set) error {
	if p.last != nil {
		return t.failed(p, "no other instance")
	}
	why := "there is none"
	switch {
	case t.ctx.Err() != nil:
		why = "this client is closed"
	case !s.ready:
		why = "the registry has not answered yet"
	case len(s.members) > 0:
		why = "all keep failing"
	}
	err := fault.Wrap(fault.Unavailable, s.err, "no instance of %s is reachable: %s", t.opts.Service, why)
	return fault.From(t.opts.Service, err)
}

// gaveUp is the error of a call whose caller has no time left.
func (t *Target) gaveUp(p *progress, err error) error {
	if p.last != nil {
		return t.failed(p, "the caller's time is over")
	}
	return fault.Wrap(fault.CodeOf(err), err, "%s was not sent: %s", p.call.Method, fault.MessageOf(err))
}
