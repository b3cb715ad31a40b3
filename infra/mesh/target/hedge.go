package target

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// hedgeShare is the part of a target's hedged calls that may have a second try.
const hedgeShare = 0.05

// hedged is run with a hedge: where no answer came in the time that 95 % of the
// method's answers take, a second try goes to another instance, and the first
// answer wins (Dean and Barroso, "The Tail at Scale", 2013). The second try is
// one try, out of the budget of the retries, and at most hedgeShare of the calls
// have one: where all instances got slower, a hedge for each slow call would add
// a load that makes them slower still. For the same reason there is none while an
// instance is out, whose load the others have already, but for calls that probe it.
func (t *Target) hedged(ctx context.Context, w work, m *method) (any, error) {
	t.hedges.call()
	p := progress{work: w, method: m}
	delay := m.times.p95()
	if deadline, ok := ctx.Deadline(); delay == 0 || ok && time.Until(deadline) <= delay {
		return t.run(ctx, &p)
	}
	first, endFirst := context.WithCancelCause(ctx)
	defer endFirst(nil)
	second, endSecond := context.WithCancelCause(ctx)
	defer endSecond(errLost)
	var at atomic.Pointer[Member]
	p.at = &at
	h := &hedge{done: make(chan struct{})}
	timer := time.AfterFunc(delay, func() {
		defer close(h.done)
		if h.response, h.err = t.overtake(second, w, m, at.Load()); h.err == nil {
			endFirst(errLost)
		}
	})
	response, err := t.run(first, &p)
	if began := !timer.Stop(); err == nil || !began {
		return response, err
	}
	<-h.done // as bounded as the first try was: by the caller's time
	if h.err == nil {
		return h.response, nil
	}
	return nil, err
}

// hedge is the outcome of a second try; done orders it before who reads it.
type hedge struct {
	done     chan struct{}
	response any
	err      error
}

// overtake makes the second try of a call that waits for a member.
func (t *Target) overtake(ctx context.Context, w work, method *method, waits *Member) (response any, err error) {
	p := progress{work: w, method: method, hedge: true}
	if waits == nil {
		return nil, fault.New(fault.Canceled, "the call is between two tries")
	}
	p.not.add(waits)
	p.went.add(waits)
	if t.ejector.out.Load() > 0 && waits.out.Load() == 0 || !t.set.Load().offers(&p.not) || !t.hedges.retry() || !t.budget.retry() {
		return nil, fault.New(fault.Canceled, "no instance or no budget is left")
	}
	m, permit, err := t.choose(ctx, &p)
	if err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil { // http.ErrAbortHandler, which is for the caller's goroutine only
			err = errPanicked
		}
		if err == nil {
			t.metrics.hedgeWon.Inc()
		} else {
			t.metrics.hedgeLost.Inc()
		}
	}()
	return t.once(ctx, &p, m, permit)
}
