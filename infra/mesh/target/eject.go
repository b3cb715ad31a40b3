package target

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"
)

// unasked is how long an instance waits for a call that may be repeated.
const unasked = 5 * time.Second

// reason says why a member is out of rotation; it may have several.
type reason uint32

const (
	forFailing reason = 1 << iota // so many failures in a row
	forRate                       // it fails more often than the others
	forSilence                    // it holds calls and is silent
)

// String is the reason as the report and the metrics name it.
func (r reason) String() string {
	switch {
	case r&forFailing != 0:
		return "breaker"
	case r&forRate != 0:
		return "rate"
	case r&forSilence != 0:
		return "stall"
	}
	return ""
}

// ejector keeps the floor: whatever the reasons, most members stay in rotation.
// An instance leaves it because it is worse than the others, never because all
// are bad: then there would be nobody better, and the few left would get the
// load of all.
//
// The exception is the circuit: when every member fails call after call, the
// service is down, all breakers open and calls fail at once, until one probe
// succeeds. Then everybody is back: what they did with the others down says
// nothing about them.
type ejector struct {
	out     atomic.Int32 // members that are out
	lost    atomic.Int32 // members in rotation that cannot be reached, when last counted
	counted atomic.Int64 // then, since the target's start
	circuit atomic.Bool
}

// mayBeOut is how many of n members may be out of rotation while lost others
// cannot be reached: a share of the set, but one at least, and never so many
// that fewer than half are left. So of two one may be, while the other is
// reachable; of one none.
func mayBeOut(n, lost int, share float64) int {
	return max(min(max(int(float64(n)*share+1e-9), 1), n/2-lost), 0)
}

// eject takes the member out of rotation, or reports that the floor forbids it.
// It neither locks nor waits.
func (m *Member) eject(why reason) bool {
	return m.takeOut(why, false)
}

func (m *Member) takeOut(why reason, beyond bool) bool {
	e := &m.target.ejector
	for {
		was := m.out.Load()
		if was != 0 {
			if m.out.CompareAndSwap(was, was|uint32(why)) {
				return true
			}
			continue
		}
		if !m.target.slot(beyond) {
			return false
		}
		if m.out.CompareAndSwap(0, uint32(why)) {
			m.outSince.Store(int64(m.target.now()))
			m.target.metrics.ejected.Inc()
			m.target.metrics.ejection(m.id, why)
			break
		}
		e.out.Add(-1)
	}
	if m.retired.Load() { // it left meanwhile
		m.readmit(^reason(0))
	}
	return true
}

// slot takes one of the places that the floor leaves.
func (t *Target) slot(beyond bool) bool {
	e := &t.ejector
	if t.opts.Eject.Share < 0 && !beyond {
		return false
	}
	t.countLost(t.now())
	for {
		out := e.out.Load()
		if !beyond && int(out) >= mayBeOut(len(t.set.Load().members), int(e.lost.Load()), t.opts.Eject.Share) {
			return false
		}
		if e.out.CompareAndSwap(out, out+1) {
			return true
		}
	}
}

// readmit drops a reason; without any the member is back in rotation.
func (m *Member) readmit(why reason) {
	for {
		was := m.out.Load()
		if was&uint32(why) == 0 {
			return
		}
		is := was &^ uint32(why)
		if !m.out.CompareAndSwap(was, is) {
			continue
		}
		if is == 0 {
			m.target.ejector.out.Add(-1)
			m.target.metrics.ejected.Dec()
		}
		return
	}
}

// trips decides for the member's breaker whether a failure opens it.
func (m *Member) trips(streak int) bool {
	switch {
	case m.unreachable(m.target.now()): // it gets no calls anyway, and no place
	case streak < m.target.opts.Breaker.ConsecutiveFailures:
		return m.target.opts.Eject.Margin > 0 && m.worse(0) && m.eject(forRate)
	case m.worse(streak) && m.eject(forFailing):
		return true
	}
	if streak >= m.target.opts.Breaker.ConsecutiveFailures && m.allFail() {
		m.takeOut(forFailing, true)
		m.target.ejector.circuit.Store(true)
		return true
	}
	return false
}

// allFail reports whether no other member is sound.
func (m *Member) allFail() bool {
	now := m.target.now()
	for _, other := range m.target.set.Load().members {
		if other != m && other.sound(now) {
			return false
		}
	}
	return true
}

func (m *Member) sound(now time.Duration) bool {
	return m.out.Load() == 0 && !m.unreachable(now) &&
		m.breaker.Streak() < m.target.opts.Breaker.ConsecutiveFailures
}

// unreachable reports whether the member's connection is known to fail.
func (m *Member) unreachable(now time.Duration) bool {
	if m.refusedUntil.Load() > int64(now) {
		return true
	}
	state := m.conn.Load()
	return m.target.speaksGRPC.Load() && state == int32(connectivity.TransientFailure)
}

// countLost counts the members that cannot be reached, every 100 ms at most and
// less often in a large set. It reports whether it did.
func (t *Target) countLost(now time.Duration) bool {
	s, e := t.set.Load(), &t.ejector
	at := e.counted.Load()
	pause := 100*time.Millisecond + time.Duration(len(s.members))*100*time.Microsecond
	if at != 0 && now-time.Duration(at) < pause || !e.counted.CompareAndSwap(at, max(int64(now), 1)) {
		return false
	}
	e.lost.Store(int32(s.lost(now)))
	return true
}

func (s *set) lost(now time.Duration) (n int) {
	for _, m := range s.members {
		if m.out.Load() == 0 && m.unreachable(now) {
			n++
		}
	}
	return n
}

// watchFloor keeps the floor while connections break.
func (t *Target) watchFloor(now time.Duration) {
	if t.ejector.out.Load() > 0 && t.countLost(now) {
		t.keepFloor()
	}
}

// keepFloor readmits members when too many are out: the set shrank, connections
// broke, or a service that was down is back. Too few left is Envoy's panic: then
// nobody is out.
func (t *Target) keepFloor() {
	s, e, now := t.set.Load(), &t.ejector, t.now()
	if len(s.members) == 0 || e.out.Load() == 0 {
		return
	}
	lost := s.lost(now)
	e.lost.Store(int32(lost))
	excess := int(e.out.Load()) - mayBeOut(len(s.members), lost, t.opts.Eject.Share)
	if e.circuit.Load() {
		if !s.anySound(now) {
			return
		}
		if e.circuit.CompareAndSwap(true, false) {
			excess = len(s.members)
		}
	}
	offset := int(t.random() % uint64(len(s.members)))
	for i := range s.members {
		if m := s.members[(i+offset)%len(s.members)]; excess > 0 && m.out.Load() != 0 {
			m.pardon()
			excess--
		}
	}
}

func (s *set) anySound(now time.Duration) bool {
	for _, m := range s.members {
		if m.sound(now) {
			return true
		}
	}
	return false
}

// pardon brings the member back whatever is held against it.
func (m *Member) pardon() {
	m.clear("too many are out")
	m.breaker.Reset()
}

// returned notes that the breaker closed.
func (m *Member) returned() {
	m.outcomes.forget()
	m.readmit(forFailing | forRate)
}

// asks reports whether the call is the one that finds out whether a member whose
// time is over is well again. A call that must not be repeated does so only when
// nobody else did for long.
func (m *Member) asks(not *tried) bool {
	return !not.once || time.Since(m.breaker.OpenUntil()) > unasked
}

// standing is what the report says of it.
func (m *Member) standing(now time.Duration) (ejected string, out, back time.Duration, rate float64) {
	why := reason(m.out.Load())
	if why != 0 {
		out = now - time.Duration(m.outSince.Load())
	}
	switch {
	case why&(forFailing|forRate) != 0:
		back = time.Until(m.breaker.OpenUntil())
	case why != 0:
		back = time.Duration(m.stall.probeAt.Load()) - now
	}
	failed, seen := m.outcomes.last(remembered)
	return why.String(), max(out, 0), max(back, 0), 1 - float64(failed)/float64(max(seen, 1))
}
