package target

import (
	"context"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// verdict decides whether the call ends with err, the outcome of its last try,
// and says why; or it returns "" and how long to pause before the next try.
func (t *Target) verdict(ctx context.Context, p *progress, err error) (why string, delay time.Duration) {
	p.last = err
	unsent := notSent(err)
	switch {
	case ctx.Err() != nil:
		return "the caller's time is over", 0
	case p.panicked, !t.mayHelp(p, err):
		return "another instance would say the same", 0
	case p.once && !unsent:
		return "it must not be repeated", 0
	case p.went.n >= t.opts.Retry.Max:
		return "no further try allowed", 0
	case !t.set.Load().offers(&p.not):
		return "no other instance", 0
	}
	delay, fits := t.pauseFor(ctx, p.went.n, err)
	switch {
	case !fits:
		return "no time for another try", 0
	case !unsent && !t.budget.retry(): // what reached nobody adds to no load
		return "the retry budget is spent", 0
	}
	t.metrics.retries.Inc()
	t.retries.Add(1)
	return "", delay
}

// mayHelp reports whether another instance might answer where this one did not.
// What was shed is not repeated blindly: once, and only where an instance is left
// that sheds nothing itself or nearly all calls are accepted. When all are
// overloaded neither holds, and retries add nothing to the load; when one is,
// because its neighbours on the machine are busy, or all are for a moment, the
// others take what it cannot.
func (t *Target) mayHelp(p *progress, err error) bool {
	if fault.CodeOf(err) != fault.Overloaded {
		return fault.Retryable(err)
	}
	now := t.now()
	if p.shed || !t.set.Load().leaves(&p.not, now, true) && !t.throttle.relaxed(p.rank, now) {
		return false
	}
	p.shed = true
	return true
}

// longestPause is how long a call without a deadline waits because it was asked
// to.
const longestPause = time.Second

// pauseFor is the pause after try n, and whether it fits in the caller's time. A
// fault's RetryAfter is obeyed; that of an instance that shed is its own, and
// the call goes to another.
func (t *Target) pauseFor(ctx context.Context, n int, err error) (pause time.Duration, fits bool) {
	pause = t.backoff(n, notSent(err))
	if fault.CodeOf(err) != fault.Overloaded {
		pause = max(pause, fault.RetryAfterOf(err))
	}
	if deadline, ok := ctx.Deadline(); ok {
		return pause, time.Until(deadline) > pause
	}
	return pause, pause <= longestPause
}

// backoff is the pause after try n: random up to a bound that doubles, so that
// callers that failed together do not return together. The first retry of a
// call that reached nobody waits for nothing.
func (t *Target) backoff(n int, unsent bool) time.Duration {
	if n == 1 && unsent {
		return 0
	}
	return t.jitter(min(t.opts.Retry.Base<<(n-1), t.opts.Retry.Cap))
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

// leaves reports whether a fit member is left that the call has not tried; a calm
// one shed nothing lately either.
func (s *set) leaves(not *tried, now time.Duration, calm bool) bool {
	for _, m := range s.members[:min(len(s.members), witnesses)] {
		if !not.has(m) && !(calm && m.shedding(now)) && m.fitness(now) == fit {
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
	e := &Error{Service: t.opts.Service, Method: p.method.name, Tries: p.went.n, Why: why, Last: p.last}
	for _, m := range p.went.list[:p.went.n] {
		e.Instances = append(e.Instances, m.id)
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
	return fault.Wrap(fault.CodeOf(err), err, "%s was not sent: %s", p.method.name, fault.MessageOf(err))
}
