package target

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	stripes = 8  // of the list of flights, so that callers rarely meet
	lane    = 15 // flights in one chunk of a stripe: with its next it fills two cache lines

	// sweepEvery is how often flights are looked at while there are any.
	sweepEvery = 20 * time.Millisecond
	// starved is how late a round may begin: a process that was short of CPU has
	// not read the answers yet that it would miss.
	starved = 10 * time.Millisecond
)

// flights are the tries under way to all members, so that one goroutine can end
// those that wait in vain: no timer per call. Slots are claimed by
// compare-and-swap; calls share no lock. A stripe grows with the calls in flight
// and keeps its size.
type flights struct {
	stripes [stripes]chunk
}

type chunk struct {
	slots [lane]atomic.Pointer[flight]
	next  atomic.Pointer[chunk]
}

// add enters a flight, anywhere that chance says; storing nil in its slot takes
// it out.
func (l *flights) add(f *flight, chance uint32) {
	c := &l.stripes[chance%stripes]
	for {
		for i := range uint32(lane) {
			slot := &c.slots[(chance>>8+i)%lane]
			if slot.Load() == nil {
				f.slot = slot
				if slot.CompareAndSwap(nil, f) {
					return
				}
			}
		}
		if c.next.Load() == nil {
			c.next.CompareAndSwap(nil, new(chunk))
		}
		c = c.next.Load()
	}
}

// all calls yield with every flight.
func (l *flights) all(yield func(*flight) bool) {
	for i := range l.stripes {
		for c := &l.stripes[i]; c != nil; c = c.next.Load() {
			for j := range c.slots {
				if f := c.slots[j].Load(); f != nil && !yield(f) {
					return
				}
			}
		}
	}
}

// watch has the sweeper end the flight in time.
func (t *Target) watch(f *flight, prompt bool) {
	if deadline, ok := f.Context.Deadline(); ok {
		f.over = deadline.Sub(t.start)
	}
	t.flights.add(f, uint32(t.random()))
	t.stir()
	f.prompt = prompt || t.ctx.Err() != nil // after Close nobody sweeps
}

// stir wakes the sweeper if it rests.
func (t *Target) stir() {
	if !t.sweeping.Load() && t.sweeping.CompareAndSwap(false, true) {
		t.wake <- struct{}{} // has room: only who set sweeping sends
	}
}

// sweep looks at the flights while there are any, until Close.
func (t *Target) sweep() {
	defer func() {
		for f := range t.flights.all { // who is left has until the end of the drain time
			context.AfterFunc(f.Context, f.cut)
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wait := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-t.ctx.Done():
			return false
		}
	}
	for {
		select {
		case <-t.wake:
		case <-t.ctx.Done():
			return
		}
		due := t.now()
		for {
			now := t.now()
			next, busy := t.round(now, now-due > starved)
			if !busy {
				t.sweeping.Store(false)
				// A flight that came before the store woke nobody.
				if _, busy = t.round(now, true); !busy || !t.sweeping.CompareAndSwap(false, true) {
					break
				}
			}
			due = now + next
			if !wait(next) {
				return
			}
		}
	}
}

// round ends the flights whose time is over and, unless blind, finds members
// that fell silent. It returns when the next round is due and whether there was
// any flight.
func (t *Target) round(now time.Duration, blind bool) (next time.Duration, busy bool) {
	next = sweepEvery
	t.watchFloor(now)
	n := 0
	for f := range t.flights.all {
		n++
		switch {
		case f.until > 0 && now >= f.until:
			f.end(late)
		case f.until > 0:
			next = min(next, f.until-now)
		}
		next = f.follow(now, next)
		if !blind && f.overdue(now) {
			t.doubt(f, now)
		}
	}
	t.aloft = n
	return next, n > 0
}

// follow cuts the line of a flight whose caller left, and returns when it must be
// looked at again. Callers that leave before their time is over wait for the
// sweeper to see it, sweepEvery at most.
func (f *flight) follow(now, next time.Duration) time.Duration {
	switch {
	case f.line.Load() == nil:
	case f.Context.Err() != nil:
		f.cut()
	case f.over > 0: // a little later its context knows it, too
		next = min(next, max(f.over-now, 0)+100*time.Microsecond)
	}
	return next
}

// redispatch ends what a suspect was asked before now, so that the callers go
// elsewhere.
func (t *Target) redispatch(m *Member, now time.Duration) {
	for f := range t.flights.all {
		if f.member == m && f.start < now && !f.stays {
			f.end(stalled)
		}
	}
}
