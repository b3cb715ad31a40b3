package target

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// silent is the shortest silence that is held against an instance, and
	// patience how many of its answers' times it may take besides. Instances
	// that nobody measured yet get silentUnknown.
	silent        = 40 * time.Millisecond
	patience      = 5
	silentUnknown = time.Second
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
	ill   atomic.Int32 // suspects
}

func (p *pulse) answered(now time.Duration) {
	if last := p.last.Load(); int64(now)-last >= int64(beat) && p.last.CompareAndSwap(last, int64(now)) {
		p.count.Add(1)
	}
}

// stall finds instances that hold calls and say nothing, as a stopped process
// does: its connection stays up. It needs no timer; the picks ask. The zero
// value suspects nothing.
type stall struct {
	heard     atomic.Int64 // the last answer, or the begin of calls, since the target's start
	heardBeat atomic.Int64 // the pulse's count then
	suspect   atomic.Bool
	probes    atomic.Int32 // since it is suspect
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
	m.quiet(now)
	if m.stall.suspect.Load() {
		m.clear("it answered")
	}
}

// patience is how long the member may be silent with calls in flight.
func (m *Member) patience() time.Duration {
	rtt := math.Float64frombits(m.latency.peak.Load())
	if rtt == 0 {
		return silentUnknown
	}
	return max(silent, patience*time.Duration(rtt))
}

// stalled reports whether the member is suspect, and makes it so when it was
// silent for too long while others answered. An instance that is merely queued
// answers now and then; when all are silent nobody is suspect; and never more
// than a third of the set is.
func (m *Member) stalled(now time.Duration) bool {
	if m.stall.suspect.Load() {
		return true
	}
	if m.inFlight.Load() == 0 || m.target.pulse.count.Load()-m.stall.heardBeat.Load() < beats {
		return false
	}
	if now-time.Duration(m.stall.heard.Load()) <= m.patience() {
		return false
	}
	t := m.target
	if int(t.pulse.ill.Add(1)) > len(t.set.Load().members)/3 || !m.stall.suspect.CompareAndSwap(false, true) {
		t.pulse.ill.Add(-1)
		return m.stall.suspect.Load()
	}
	m.stall.probes.Store(0)
	m.stall.probeAt.Store(int64(now + probeMin))
	t.metrics.suspect(m.instance.Load().ID)
	t.log.Info("instance suspected: calls in flight and no answer", "instance", m.instance.Load().ID, "in_flight", m.inFlight.Load())
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
	m.target.pulse.ill.Add(-1)
	m.latency.reset()
	m.startSlowly()
	m.target.log.Info("instance no longer suspected: "+why, "instance", m.instance.Load().ID)
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
	limit := 2 * m.patience()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/4)
	}
	return max(limit, time.Millisecond)
}
