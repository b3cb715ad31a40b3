package target

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

const (
	// throttleTick is the resolution and throttleTicks the length of the window:
	// one second, so that an overload that ended is forgotten a second later.
	throttleTick  = 100 * time.Millisecond
	throttleTicks = 10
	// throttleMost is the greatest part of the calls that is refused here: some
	// must go on and find out that the instances accept again.
	throttleMost = 0.9
	// throttleWait is what a refused caller is told to wait where no instance
	// said more.
	throttleWait = 250 * time.Millisecond
)

// throttle refuses calls before they are sent while the instances refuse many:
// refusing is cheap, but not free, and at many times the capacity an instance
// would do nothing else. It is the client-side throttling of "Site Reliability
// Engineering" (Beyer et al. 2016, chapter 21): a call is refused with the
// probability
//
//	max(0, (requests - K × accepts) / (requests + 1))
//
// over the last second. Only refusals for load count, Overloaded and Limited:
// broken instances are for ejection. Each priority has its own counts, as in
// the book, so those that the instances refuse first are throttled first.
//
// Worked example, K = 2: of 300 calls 100 are accepted. One in three is refused
// here then, and the instances see 200 for the 100 that they can do.
type throttle struct {
	k       float64      // 0: never
	refused atomic.Int64 // when an instance last refused, since the target's start; 0: never
	wait    atomic.Int64 // the time that it asked for
	windows [3]window    // by priority
}

// window counts what became of calls in the last second, in atomics: calls
// share no lock. Counts that race with the reuse of a slot may be lost.
type window struct {
	slots [throttleTicks + 1]struct {
		tick               atomic.Int64
		accepted, rejected atomic.Int64
	}
}

// count notes one call.
func (w *window) count(tick int64, accepted bool) {
	s := &w.slots[tick%int64(len(w.slots))]
	if was := s.tick.Load(); was != tick && s.tick.CompareAndSwap(was, tick) {
		s.accepted.Store(0)
		s.rejected.Store(0)
	}
	if accepted {
		s.accepted.Add(1)
	} else {
		s.rejected.Add(1)
	}
}

// sums returns the calls of the last second and how many were accepted.
func (w *window) sums(tick int64) (requests, accepts int64) {
	for i := range w.slots {
		if s := &w.slots[i]; s.tick.Load() > tick-throttleTicks {
			accepts += s.accepted.Load()
			requests += s.rejected.Load()
		}
	}
	return requests + accepts, accepts
}

// tickOf counts from 1, so that an unused slot is of no tick: with the ticks of
// a whole window to spare.
func tickOf(now time.Duration) int64 { return int64(now/throttleTick) + throttleTicks + 1 }

// excess is the probability that a call of a priority is refused now.
func (h *throttle) excess(rank int8, now time.Duration) float64 {
	last := time.Duration(h.refused.Load())
	if last == 0 || h.k <= 0 || now-last > throttleTick*throttleTicks {
		return 0
	}
	requests, accepts := h.windows[rank].sums(tickOf(now))
	return min(max(0, (float64(requests)-h.k*float64(accepts))/float64(requests+1)), throttleMost)
}

// relaxedShare is the part of the calls that instances accept when a refusal is
// bad luck rather than overload.
const relaxedShare = 0.8

// relaxed reports whether the instances accept nearly all calls of a priority.
func (h *throttle) relaxed(rank int8, now time.Duration) bool {
	requests, accepts := h.windows[rank].sums(tickOf(now))
	return float64(accepts) >= relaxedShare*float64(requests)
}

// answered notes what an instance said to a try.
func (h *throttle) answered(rank int8, now time.Duration, err error) {
	refused := forLoad(err)
	h.windows[rank].count(tickOf(now), !refused)
	if refused {
		h.wait.Store(int64(max(fault.RetryAfterOf(err), throttleWait)))
		h.refused.Store(max(int64(now), 1))
	}
}

// forLoad reports whether an instance that is well refused a call, unseen.
func forLoad(err error) bool {
	if err == nil {
		return false
	}
	code := fault.CodeOf(err)
	return code == fault.Overloaded || code == fault.Limited
}

// throttled refuses a call that the instances would very likely refuse.
func (t *Target) throttled(ctx context.Context, p *progress) error {
	h := &t.throttle
	p.rank = int8(min(max(middleware.PriorityFrom(ctx), middleware.Background), middleware.Critical) - middleware.Background)
	now := t.now()
	part := h.excess(p.rank, now)
	if part == 0 || !t.chance(part) {
		return nil
	}
	h.windows[p.rank].count(tickOf(now), false)
	t.metrics.throttled.Inc()
	return &fault.Error{
		Code:       fault.Overloaded,
		Message:    t.opts.Service + " is overloaded; come back later",
		RetryAfter: time.Duration(h.wait.Load()),
	}
}

// shed notes that a member refused a call for load: for the time that it asked
// for it gets none that another one shed.
func (m *Member) shed(now time.Duration, err error) {
	m.shedUntil.Store(int64(now + max(fault.RetryAfterOf(err), throttleWait)))
}

func (m *Member) shedding(now time.Duration) bool { return m.shedUntil.Load() > int64(now) }
