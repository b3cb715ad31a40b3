package target

import (
	"context"
	"errors"
	"time"

	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// permit is the breaker's admission; without one the call passes it by.
type permit struct {
	middleware.Permit
	held bool
}

// done books the outcome. An answer that came past an open breaker closes it.
func (p permit) done(ctx context.Context, m *Member, err error) {
	switch {
	case p.held:
		p.Done(ctx, err)
	case err == nil:
		m.breaker.Reset()
	}
}

// Why a try was ended before its caller's time was over.
var (
	errLate    = fault.New(fault.Unavailable, "no answer in the time of one try")
	errStalled = fault.New(fault.Unavailable, "silent while other instances answered")
	errLost    = fault.New(fault.Canceled, "another try of the call answered first")
)

// errPanicked is what a contained panic is booked as: the caller's own bug says
// nothing about the instance.
var errPanicked = fault.New(fault.Canceled, "the call panicked")

// depart begins a try on a member.
func (t *Target) depart(ctx context.Context, p *progress, m *Member) *flight {
	p.went.add(m)
	p.not.add(m)
	labels := m.labels.Load()
	m.picks.Add(1)
	f := &flight{member: m, method: p.method, start: t.now()}
	f.stays = p.once || p.went.n >= t.opts.Retry.Max
	f.Context = ctx
	f.Peer = middleware.Peer{
		Service: t.opts.Service, Instance: m.id, Addr: m.addr, Zone: labels.zone, Version: labels.version,
		Breaker: m.breaker.State(), Try: p.went.n, Hedge: p.hedge,
	}
	limit := t.tryLimit(ctx, p)
	if p.probe > 0 && (limit <= 0 || p.probe < limit) {
		limit = p.probe
	}
	if limit > 0 {
		f.until = f.start + limit
	}
	if f.ends = !p.once || limit > 0; f.ends {
		t.watch(f, p.at != nil || p.hedge)
	}
	if p.at != nil {
		p.at.Store(m)
	}
	return f
}

// once makes one try and books what it says about the member.
func (t *Target) once(ctx context.Context, p *progress, m *Member, pass permit) (response any, err error) {
	f := t.depart(ctx, p, m)
	returned := false
	defer func() {
		if returned {
			t.land(ctx, f, pass, err)
			return
		}
		t.land(ctx, f, pass, errPanicked)
		if panicked := recover(); panicked != nil { // nil: the goroutine ends, as tests do
			p.panicked = true
			response, err = nil, t.contain(panicked, p.method.name)
		}
	}()
	response, err = p.work.try(f, m)
	err = t.arrive(ctx, p, f, err)
	returned = true
	return response, err
}

// arrive notes the outcome of a try and returns what it means to the caller.
func (t *Target) arrive(ctx context.Context, p *progress, f *flight, err error) error {
	if err != nil {
		err = classify(ctx, f, err)
	}
	now := t.now()
	if err == nil || f.Err() == nil && !notSent(err) {
		f.member.heard(now)
	}
	t.throttle.answered(p.rank, now, err)
	t.book(ctx, p, f, now, err)
	return err
}

// land ends a try that departed, however it came out.
func (t *Target) land(ctx context.Context, f *flight, pass permit, err error) {
	if f.ends {
		f.slot.Store(nil)
		f.end(landed)
	}
	if err != nil && f.ended() {
		err = errLost
	}
	pass.done(ctx, f.member, err)
	f.member.release()
}

// book notes what the outcome of a try says about the member. Its time counts
// only where there was an answer over a connection that stood before; a caller
// that left was at least that long without one.
func (t *Target) book(ctx context.Context, p *progress, f *flight, now time.Duration, err error) {
	m := f.member
	rtt, left := now-f.start, err != nil && ctx.Err() != nil
	if left && !p.hedge && errors.Is(context.Cause(ctx), errLost) {
		rtt *= 2 // how long it would have taken nobody knows; or a hedge would hide who is slow
	}
	switch {
	case err == nil:
		m.answered()
		m.outcomes.add(false)
		p.method.times.observe(rtt)
	case notSent(err):
		m.failures.Add(1)
		m.refused(now)
		return
	case fault.Blames(err):
		m.failures.Add(1)
		if !f.ended() {
			m.outcomes.add(true)
			if !left {
				rtt = max(rtt, t.opts.Balance.Penalty) // who fails fast is not fast
			}
		}
	case forLoad(err): // a refusal takes no time: it would look like a fast instance
		m.answered()
		m.shed(now, err)
		rtt = max(rtt, t.opts.Balance.Penalty)
	default:
		m.answered()
		if fault.CodeOf(err) != fault.Canceled {
			m.outcomes.add(false)
		}
	}
	if !p.cold && !m.stall.suspect.Load() { // a silence is no measure of its answers
		m.average(now, rtt)
		m.latency.observe(now, rtt, t.opts.Balance.Decay, left || fault.Blames(err))
	}
}

// tryLimit is the time limit of the try that departs, 0 for none. The last try
// may use all the time that the caller has; so may one after which nobody fit is
// left to ask, unless TryTimeout says otherwise. A second try is not cut short for
// a third that would have hardly the time that answers take: most likely it is
// well, unlike the first.
func (t *Target) tryLimit(ctx context.Context, p *progress) time.Duration {
	limit, share := t.opts.Retry.TryTimeout, t.opts.Retry.TryShare
	if p.went.n >= t.opts.Retry.Max {
		return 0
	}
	if deadline, ok := ctx.Deadline(); ok && share > 0 && t.set.Load().leaves(&p.not, t.now(), false) {
		left := time.Until(deadline)
		part := time.Duration(float64(left) * share)
		hasty := p.went.n > 1 && left-part < 2*p.method.times.p95()
		if !hasty && (limit <= 0 || part < limit) {
			limit = max(part, time.Millisecond)
		}
	}
	return limit
}
