package middleware

import (
	"math"
	"sync/atomic"
	"time"
)

// gradient finds how many requests at once an instance can work on: as many as
// do not wait for each other. It is Netflix's Gradient2
// (github.com/Netflix/concurrency-limits, Gradient2Limit):
//
//	g     = clamp(3 × long/short, 0.5, 1)
//	limit = 0.8 × limit + 0.2 × (g × limit + queue)
//
// with a queue of 4, and no growth while less than half of the limit is in use.
// For example: 4 workers and 10 ms of work give 400 requests/s. 20 at once take
// 20/400 s = 50 ms, so g = 3 × 10/50 = 0.6 and the limit falls to 19.2, and so on
// to 16: there a request takes 40 ms, g × limit = 12, and 12 + 4 = 16. The
// tolerance is 3, not Netflix's 1.5: two instances of three at 60 % load that lost
// the third work at nine tenths of what they can do, where chance alone makes
// queues of that length.
//
// It differs from the original where that has known weaknesses:
//
//   - long is there the average of the last 600 requests. In a lasting overload
//     it drifts up towards short and takes the limit along. Here a method's
//     unloaded time is learnt only while less than half of the limit is in use,
//     and under overload, when a quarter and more is refused, by a probe: for
//     some 16 requests everything but orders gets a third of the places, so that
//     the queue drains and the time is seen bare (as BBR and Envoy's adaptive
//     concurrency do).
//   - One average over methods of 1 ms and of 40 ms follows their mix. Here each
//     method has its own unloaded time, and long/short is the sum of those over
//     the sum of what a window's requests took.
//   - A step is taken per window of at least 16 requests that lasts at least as
//     long as they took, not per request: a step must be seen before the next.
//   - After a probe the limit jumps to where the formula would lead, so that the
//     first moments of an overload do not spoil its p99.
//   - While a window shows no waiting at all, the queue is twice the limit: it
//     grows by 40 % per window, or a sudden crowd would be refused for a minute by
//     an instance with nothing to do.
//   - Answers that lack a part because another service shed it count as well
//     (Incomplete): g is at most their complement.
//   - 5 ms of waiting are never an overload: 3 × long becomes long + 5 ms where
//     that is more. A read of 1 ms meets a pause of the collector or a
//     neighbour's burst all the time.
//
// Calls go through sample, which takes no lock; whoever ends a window does the
// arithmetic.
type gradient struct {
	initial, most float64
	start         time.Time
	apply         func(limit float64, p probe)

	methods atomic.Pointer[[]*methodTimes] // grows while the ring is built

	bits    atomic.Uint64 // limit, as float64 bits
	rate    atomic.Uint64 // requests per second where some wait, as float64 bits; 0: nobody waited yet
	probing atomic.Bool
	closing atomic.Bool // somebody ends a window

	// The window under way.
	samples    atomic.Int64
	want       atomic.Int64 // samples
	earnest    atomic.Int64 // it does not end before
	latest     atomic.Int64 // it ends at the first request after
	since      atomic.Int64 // requests that began before do not count
	around     atomic.Int64 // nor those with more in flight around them
	peak       atomic.Int64 // in flight
	incomplete atomic.Int64 // requests
	vain       atomic.Int64 // requests that ran out of time
	full       atomic.Int64 // 1 + the highest rank that was refused; 0: nobody was
	refusals   atomic.Int64

	// Only whoever holds closing.
	nextProbe time.Duration
	lastFull  time.Duration // end of the last window in which somebody was refused
	opened    time.Duration // begin of the window
	before    window        // the last one before the probe, and its length
	length    time.Duration
	places    float64 // of the probe under way
	rank      int     // that the probe is at the expense of, and those below
	bareShort float64 // microseconds per unloaded one, of the probe before with more places
}

// methodTimes are the times of one method's requests, in microseconds.
type methodTimes struct {
	name   string
	window atomic.Int64  // count << sumBits + sum, in one word so that they agree
	bits   atomic.Uint64 // of the unloaded time; 0: not known yet
	proven bool          // the unloaded time was not learnt under load; whoever holds closing

	last, before spent // the last window, the last one before the probe; whoever holds closing
}

const sumBits = 40 // twelve days of microseconds; 8 million requests

// spent is the time of a number of requests, in microseconds.
type spent struct{ n, sum float64 }

func (t spent) mean() float64 { return t.sum / t.n }

func (m *methodTimes) take() spent {
	w := m.window.Swap(0)
	return spent{float64(w >> sumBits), float64(w & (1<<sumBits - 1))}
}

func (m *methodTimes) base() float64 { return math.Float64frombits(m.bits.Load()) }

// fair is the time that a request may take before the limit falls.
func (m *methodTimes) fair() float64 { return m.base() + max((tolerance-1)*m.base(), patience) }

func (m *methodTimes) learn(base float64) { m.bits.Store(math.Float64bits(base)) }

const (
	tolerance = 3.0
	overload  = .25   // refusals per request in two windows: a burst now and then is none
	queued    = 1.5   // times as long as unloaded is a sign of a queue,
	inVain    = .1    // and so are requests that waited until their callers left
	patience  = 5000. // microseconds of waiting that are no overload, however short the work
	smoothing = .2
	queue     = 4.0
	floor     = 4.0 // of the limit; the formula itself stays at 8

	windowMin  = 16 // requests
	probeMin   = 8  // every one of them costs others their places
	windowMost = time.Second
	bare       = .2 // of the waiting that is tolerated is as good as none

	learning   = .2 // weight of an idle window
	probeEvery = 10 * time.Second
	probeAgain = 500 * time.Millisecond // while probes disagree with what was known
	probeLeast = 100 * time.Millisecond // until a probe that finds nobody to measure ends: 32 times the work,
	probeMost  = time.Second            // within these bounds
	surprise   = .15                    // of a probe that is to be repeated
)

func (g *gradient) begin(s ShedSettings, apply func(limit float64, p probe)) {
	g.initial, g.most, g.start, g.apply = float64(s.Initial), float64(s.Max), time.Now(), apply
	g.methods.Store(&[]*methodTimes{})
	g.around.Store(math.MaxInt64)
	g.open(0, 0)
	limit := g.initial
	if s.Fixed > 0 {
		limit = float64(s.Fixed)
	}
	g.set(limit, probe{})
}

func (g *gradient) now() time.Duration { return time.Since(g.start) }

func (g *gradient) limit() float64 { return math.Float64frombits(g.bits.Load()) }

// probe is the time in which requests of a rank and those below get only a few
// places. Without places there is none.
type probe struct {
	places float64
	rank   int
}

func (g *gradient) set(limit float64, p probe) {
	g.bits.Store(math.Float64bits(limit))
	g.probing.Store(p.places > 0)
	g.apply(limit, p)
}

// method registers a method while the ring is built.
func (g *gradient) method(name string) *methodTimes {
	m := &methodTimes{name: name}
	for {
		old := g.methods.Load()
		grown := append((*old)[:len(*old):len(*old)], m)
		if g.methods.CompareAndSwap(old, &grown) {
			return m
		}
	}
}

func (g *gradient) unloaded() map[string]float64 {
	ms := map[string]float64{}
	for _, m := range *g.methods.Load() {
		if base := m.base(); base > 0 {
			ms[m.name] = base / 1000
		}
	}
	return ms
}

// refused notes that the limit was reached. A probe that nothing comes out of
// ends here: its few places may be held by requests that hang.
func (g *gradient) refused(rank int) {
	g.refusals.Add(1)
	if g.full.Load() <= int64(rank) {
		g.full.Store(int64(rank) + 1) // a race loses the lower of two, or this window's for the next
	}
	if g.probing.Load() {
		if now := g.now(); now >= time.Duration(g.latest.Load()) {
			g.close(now)
		}
	}
}

// sample books a request that was worked on.
func (g *gradient) sample(m *methodTimes, t ticket) {
	now := g.now()
	if t.around > g.peak.Load() {
		g.peak.Store(t.around) // a race loses one of two high values
	}
	n := g.samples.Load()
	if int64(t.began) >= g.since.Load() && t.around <= g.around.Load() {
		m.window.Add(1<<sumBits + (now - t.began).Microseconds())
		n = g.samples.Add(1)
	}
	if n >= g.want.Load() && int64(now) >= g.earnest.Load() || int64(now) >= g.latest.Load() {
		g.close(now)
	}
}

// close ends the window, unless somebody else does.
func (g *gradient) close(now time.Duration) {
	if !g.closing.CompareAndSwap(false, true) {
		return
	}
	defer g.closing.Store(false)
	if int64(now) < g.earnest.Load() || g.samples.Load() < g.want.Load() && int64(now) < g.latest.Load() {
		return // it was ended meanwhile
	}
	g.samples.Store(0)
	if g.probing.Load() {
		g.probed(now)
		return
	}
	g.step(now)
}

// open begins a window. It lasts at least as long as a request takes.
func (g *gradient) open(now time.Duration, short float64) {
	took := time.Duration(short) * time.Microsecond
	g.opened = now
	g.want.Store(windowMin)
	g.peak.Store(0)
	g.full.Store(0)
	g.refusals.Store(0)
	g.incomplete.Store(0)
	g.vain.Store(0)
	g.earnest.Store(int64(now + min(took, windowMost)))
	g.latest.Store(int64(now + windowMost))
}

// window is what the requests of one window say together.
type window struct {
	n, long, fair, short float64 // microseconds of all requests: unloaded, tolerable, and as it was
}

// totals takes the window of every method. A method's first window is its
// unloaded time until something better is known.
func (g *gradient) totals() (w window) {
	for _, m := range *g.methods.Load() {
		t := m.take()
		if m.last = t; t.n == 0 {
			continue
		}
		if m.base() == 0 {
			m.learn(max(t.mean(), 1))
		}
		w.n += t.n
		w.long += t.n * m.base()
		w.fair += t.n * m.fair()
		w.short += max(t.sum, t.n) // a microsecond each at least
	}
	return w
}

// expect is the time that a request takes with so many in flight, itself
// included, by Little's law; 0 while it is not known.
func (g *gradient) expect(flight int64) time.Duration {
	rate := math.Float64frombits(g.rate.Load())
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(flight) / rate * float64(time.Second))
}

// gauge learns how many requests per second the instance can do: no less than it
// did, and no more when there were enough to wait for each other.
func (g *gradient) gauge(w window, length time.Duration) {
	vain := float64(g.vain.Load())
	if w.n < windowMin || length <= 0 {
		return
	}
	full := w.short >= queued*w.long || vain >= inVain*w.n
	did := max(w.n-vain, 1) / length.Seconds()
	rate := math.Float64frombits(g.rate.Load())
	switch {
	case rate == 0 && !full:
		return
	case rate == 0 || did > rate:
		rate = did
	case full:
		rate += smoothing * (did - rate)
	}
	g.rate.Store(math.Float64bits(rate))
}

// step moves the limit, or learns while there is no load, and opens the next
// window or a probe.
func (g *gradient) step(now time.Duration) {
	w := g.totals()
	refused, peak := g.full.Load(), float64(g.peak.Load())
	full := refused > 0
	deep := float64(g.refusals.Load()) >= overload*w.n
	busy := peak*2 >= g.limit()
	if w.n == 0 {
		g.open(now, 0)
		return
	}
	g.gauge(w, now-g.opened)
	limit := g.limit()
	switch next := g.next(limit, w); {
	case next < limit || busy || full:
		limit = next
	case limit < g.initial && now > g.lastFull+probeEvery:
		limit = min(limit+smoothing*queue, g.initial) // what an overload left must not refuse the next crowd
	}
	if !busy && !full {
		g.relearn(peak*8 < g.initial)
	}
	g.set(limit, probe{})
	again := full && g.lastFull == g.opened // the first full window was not full all the time
	if full {
		g.lastFull = now
	}
	if again && deep && now >= g.nextProbe {
		g.before, g.length, g.rank = w, now-g.opened, int(refused)-1
		g.probe(now)
		return
	}
	g.open(now, w.short/w.n)
}

// relearn lets the unloaded times follow the last window, slowly. They rise only
// when the instance is idle: a queue of a few hides well below half of the limit.
func (g *gradient) relearn(idle bool) {
	for _, m := range *g.methods.Load() {
		if m.last.n > 0 && (idle || m.last.mean() < m.base()) {
			weight := learning * min(m.last.n/windowMin, 1)
			m.learn(m.base() + weight*(m.last.mean()-m.base()))
			m.proven = m.proven || idle
		}
	}
}

// next is the formula.
func (g *gradient) next(limit float64, w window) float64 {
	q := float64(queue)
	incomplete := float64(g.incomplete.Load()) / w.n
	if incomplete == 0 && w.short-w.long <= bare*(w.fair-w.long) {
		q = max(queue, 2*limit)
	}
	slope := min(max(min(w.fair/w.short, 1-incomplete), .5), 1)
	limit = (1-smoothing)*limit + smoothing*(slope*limit+q)
	return min(max(limit, floor), g.most)
}

// probe lets the queue drain to a third of the places, and then measures.
func (g *gradient) probe(now time.Duration) {
	g.bareShort = 0
	for _, m := range *g.methods.Load() {
		m.before = m.last
	}
	g.measure(now, max(2, (g.limit()-queue)/3))
}

func (g *gradient) measure(now time.Duration, places float64) {
	g.places = max(1, math.Floor(places))
	g.open(now, 0)
	g.want.Store(probeMin)
	g.latest.Store(int64(now + min(max(time.Duration(32*g.before.long/g.before.n)*time.Microsecond, probeLeast), probeMost)))
	g.since.Store(int64(now))
	g.around.Store(int64(g.places))
	g.set(g.limit(), probe{g.places, g.rank})
}

// probed ends a probe. If its times are not the known ones, the work may have
// changed, or there may still have been a queue: a third of the places tells.
func (g *gradient) probed(now time.Duration) {
	if w := g.totals(); w.n > 0 && g.places > 1 {
		took := w.short / w.long
		better := g.bareShort == 0 || took < g.bareShort*(1-surprise)
		if math.Abs(took-1) > surprise && better {
			g.bareShort = took
			g.measure(now, g.places/3)
			return
		}
	}
	g.settle(now)
	g.since.Store(0)
	g.around.Store(math.MaxInt64)
	g.open(now, 0)
}

// settle learns the unloaded times that a probe found, and jumps where they say
// that the limit was too high.
func (g *gradient) settle(now time.Duration) {
	worst, fair := 0.0, 0.0
	for _, m := range *g.methods.Load() {
		if t := m.last; t.n > 0 {
			was := m.base()
			weight := t.n / (t.n + queue)
			if !m.proven {
				weight, m.proven = 1, true
			}
			m.learn(max(was+weight*(t.mean()-was), 1))
			worst = max(worst, math.Abs(m.base()-was)/was)
		}
		fair += m.before.n * m.fair()
	}
	g.nextProbe = now + probeEvery
	if worst > surprise {
		g.nextProbe = now + probeAgain
	}
	limit := g.limit()
	if g.before.short > fair {
		// Little's law: as many were answered in that time as this many at once,
		// each waiting as long as is fair, would have been.
		limit = min(limit, max(fair/float64(g.length.Microseconds())+queue, floor))
	}
	g.set(limit, probe{})
}
