package target

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// grain is the difference of latencies that no caller notices. It is added to
	// both sides of a comparison, so that noise between fast instances does not
	// decide where their traffic goes.
	grain = 5 * time.Millisecond
	// alike is up to which ratio two latencies count as the same: then the calls
	// in flight decide alone.
	alike = 1.5
	// forget is how fast the memory of an instance that gets no calls fades. It is
	// what brings one that was slow back to the test: one of 200 ms among others
	// of 5 ms is tried again after 4 s × ln(205 / 15) = 10 s.
	forget = 4 * time.Second
)

// latency is a peak EWMA: it follows a longer time at once and a shorter one
// slowly, so that one slow answer is believed and one fast answer is not. The
// zero value knows nothing.
//
// It is two atomics without a lock. Two outcomes at the same instant may weigh
// the same gap; none is lost.
type latency struct {
	peak atomic.Uint64 // float64 bits of nanoseconds; 0: unknown
	at   atomic.Int64  // of the last outcome, since the target's start
}

// observe notes an outcome that took rtt. floor says that it took at least
// that: the caller left before the answer.
func (l *latency) observe(now, rtt, decay time.Duration, floor bool) {
	gap := max(now-time.Duration(l.at.Swap(int64(now))), 0)
	for {
		old := l.peak.Load()
		was, is := math.Float64frombits(old), float64(max(rtt, 1))
		if was > is {
			if floor {
				return
			}
			w := 1 - float64(gap)/float64(decay)
			if w < 0.99 {
				w = math.Exp(w - 1) // which is w, nearly, for calls that follow closely
			}
			is = was*w + is*(1-w)
		}
		if l.peak.CompareAndSwap(old, math.Float64bits(is)) {
			return
		}
	}
}

// estimate is the time an answer takes, 0 while unknown. It fades while no
// outcome comes, unless calls are in flight: then silence is no good news.
func (l *latency) estimate(now time.Duration, idle bool) time.Duration {
	was := math.Float64frombits(l.peak.Load())
	if gap := now - time.Duration(l.at.Load()); idle && gap > forget/16 && was > 0 {
		was = max(was*math.Exp(-float64(gap)/float64(forget)), 1)
	}
	return time.Duration(was)
}

// reset forgets it all: another process answers now.
func (l *latency) reset() { l.peak.Store(0) }

// choice is what a comparison of two members needs to know of one.
type choice struct {
	rtt    float64 // nanoseconds, grain included; 0: unknown
	queued float64 // calls in flight, for one unit of share
	share  float64 // the part of the traffic, relative to the others'
}

func (m *Member) choice(now time.Duration) choice {
	n := m.inFlight.Load()
	c := choice{share: m.share(now)}
	c.queued = float64(n) / c.share
	if m.target.opts.Balance.Policy == LeastRequest {
		return c
	}
	if rtt := m.latency.estimate(now, n == 0); rtt > 0 {
		c.rtt = float64(rtt + grain)
	}
	return c
}

// less reports whether c is the better choice than b: whose rtt × (in flight /
// share + 1) is less. Where one latency is unknown, or both are alike, the calls
// in flight decide alone.
//
// The share divides the calls in flight and not the whole: among idle members
// the smaller share would else lose every comparison and get nothing at all.
// That idle members get their shares is for the draw to see to.
func (c choice) less(b choice) bool {
	mine, its := c.queued+1, b.queued+1
	if c.rtt > 0 && b.rtt > 0 && max(c.rtt, b.rtt) > alike*min(c.rtt, b.rtt) {
		mine, its = mine*c.rtt, its*b.rtt
	}
	return mine < its
}

// share is the part of the traffic that a member gets now, relative to the
// others'.
func (m *Member) share(now time.Duration) float64 {
	return float64(m.weight.Load()) * m.ramp(now)
}

// ramp is the part of its traffic that a member gets now: a tenth when it is
// new or back, all of it after the slow start.
func (m *Member) ramp(now time.Duration) float64 {
	since := m.since.Load()
	if since == 0 {
		return 1
	}
	part := float64(now-time.Duration(since)) / float64(m.target.opts.Balance.SlowStart)
	if part >= 1 {
		m.since.CompareAndSwap(since, 0)
		return 1
	}
	return max(part, 0.1)
}

// startSlowly begins the slow start of a member that is new or back.
func (m *Member) startSlowly() {
	if m.target.opts.Balance.SlowStart > 0 {
		m.since.Store(max(int64(m.target.now()), 1))
	}
}
