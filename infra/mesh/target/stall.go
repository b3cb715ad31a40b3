package target

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// silent is the shortest silence that is held against an instance, patience
	// how many times its usual gap between answers one may last besides, and
	// overdue how many times the 95th percentile of its method a call may take.
	silent   = 40 * time.Millisecond
	patience = 3
	overdue  = 3
	// Instances and methods that nobody measured yet get unmeasured.
	unmeasured = time.Second
	// beat is the resolution of "others answer meanwhile", and beats how many of
	// them must have had an answer: a caller that was itself short of CPU finds
	// all answers of its pause in one or two.
	beat  = 5 * time.Millisecond
	beats = 4
	// A suspect is asked with one call at a time, at growing intervals.
	probeMin = 250 * time.Millisecond
	probeMax = 2 * time.Second
)

// pulse counts the beats in which any instance answered.
type pulse struct {
	last  atomic.Int64 // start of the last beat, since the target's start
	count atomic.Int64
}

func (p *pulse) answered(now time.Duration) {
	if last := p.last.Load(); int64(now)-last >= int64(beat) && p.last.CompareAndSwap(last, int64(now)) {
		p.count.Add(1)
	}
}

// stall finds instances that hold calls and say nothing, as a stopped process
// does: its connection stays up. The zero value suspects nothing.
type stall struct {
	suspect   atomic.Bool  // first: picks read it
	probes    atomic.Int32 // since it is suspect
	heard     atomic.Int64 // the last answer, or the begin of calls, since the target's start
	heardBeat atomic.Int64 // the pulse's count then
	gap       latency      // between answers while there are calls in flight
	doubt     atomic.Int64 // when the first overdue call since the last answer began; 0: there is none
	probeAt   atomic.Int64
}

// quiet begins the time in which an answer is expected.
func (m *Member) quiet(now time.Duration) {
	m.stall.heardBeat.Store(m.target.pulse.count.Load())
	m.stall.heard.Store(int64(now))
}

// heard notes an answer of any kind.
func (m *Member) heard(now time.Duration) {
	m.target.pulse.answered(now)
	gap := now - time.Duration(m.stall.heard.Load())
	m.quiet(now)
	if m.stall.doubt.Load() != 0 {
		m.stall.doubt.Store(0)
	}
	if m.stall.suspect.Load() {
		m.clear("it answered")
		return
	}
	m.stall.gap.observe(now, gap, m.target.opts.Balance.Decay, false)
}

// patience is how long the member may be silent with calls in flight. The gap
// between answers is the measure, not the time of an answer: that one grows when
// calls queue, and a queue answers all the while.
func (m *Member) patience() time.Duration {
	gap := math.Float64frombits(m.stall.gap.peak.Load())
	if gap == 0 {
		return unmeasured
	}
	return max(silent, time.Duration(patience*gap))
}

// overdue reports whether the flight should long have been answered by a member
// that said nothing at all while others answered. When all are silent none is.
// Who owes an answer already is given half the time.
func (f *flight) overdue(now time.Duration) bool {
	s := &f.member.stall
	quiet := now - time.Duration(s.heard.Load())
	if quiet <= silent || s.suspect.Load() || f.member.target.pulse.count.Load()-s.heardBeat.Load() < beats {
		return false
	}
	long := overdue * f.method.times.p95()
	if long == 0 {
		long = unmeasured
	}
	if s.doubt.Load() != 0 {
		long /= 2
	}
	return now-f.start > max(silent, long)
}

// doubt acts on an overdue flight. Its member is a suspect when it was silent for
// longer than is usual, and what it was asked before now goes elsewhere; but never
// more members are than the floor of the set allows.
//
// One call alone may just be a slow one: the balancer avoids who was slow, so
// that calls are alone there. Where a second one comes soon its word is waited
// for. The first goes elsewhere then, while the budget has a retry for it.
func (t *Target) doubt(f *flight, now time.Duration) {
	m, begun := f.member, max(int64(f.start), 1)
	first, silence := m.stall.doubt.Load(), now-time.Duration(m.stall.heard.Load())
	if first != 0 {
		silence = now - time.Duration(first)
	}
	switch busy := t.aloft >= len(t.set.Load().members); {
	case busy && first == 0:
		m.stall.doubt.Store(begun)
		if !f.stays && t.budget.left() >= 1 {
			f.end(stalled)
		}
	case first != begun && silence > m.patience() && m.suspected(now):
		t.redispatch(m, now)
	}
}

// suspected makes the member a suspect, if there are not too many of them.
func (m *Member) suspected(now time.Duration) bool {
	t := m.target
	if !m.eject(forSilence) || !m.stall.suspect.CompareAndSwap(false, true) {
		return false
	}
	m.stall.probes.Store(0)
	m.stall.probeAt.Store(int64(now + probeMin))
	t.metrics.suspect(m.id)
	t.log.Info("instance suspected: calls in flight and no answer", "instance", m.id, "in_flight", m.inFlight.Load())
	if m.retired.Load() { // it left meanwhile
		m.clear("it left")
	}
	return true
}

// clear ends the suspicion.
func (m *Member) clear(why string) {
	if !m.stall.suspect.CompareAndSwap(true, false) {
		return
	}
	m.readmit(forSilence)
	m.latency.reset()
	m.startSlowly()
	m.target.log.Info("instance no longer suspected: "+why, "instance", m.id)
}

// probe admits one call to a suspect that has none and whose time has come.
func (m *Member) probe(now time.Duration) bool {
	at := m.stall.probeAt.Load()
	if !m.stall.suspect.Load() || m.inFlight.Load() > 0 || int64(now) < at {
		return false
	}
	pause := min(probeMin<<min(m.stall.probes.Load(), 10), probeMax)
	if !m.stall.probeAt.CompareAndSwap(at, int64(now+pause)) {
		return false
	}
	m.stall.probes.Add(1)
	return true
}

// probeLimit is how long a call waits for a suspect before it goes elsewhere: it
// leaves most of the caller's time for that.
func probeLimit(ctx context.Context, m *Member) time.Duration {
	limit := m.patience()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/4)
	}
	return max(limit, time.Millisecond)
}
