package load

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram of microseconds; not safe for concurrent use.
type latencies struct {
	hist *hdrhistogram.Histogram
	max  time.Duration
}

const maxLatency = 5 * time.Minute

func newLatencies() *latencies {
	return &latencies{hist: hdrhistogram.New(1, maxLatency.Microseconds(), 3)}
}

func (l *latencies) record(d time.Duration) {
	d = min(max(d, time.Microsecond), maxLatency)
	l.max = max(l.max, d)
	_ = l.hist.RecordValue(d.Microseconds()) // in range: clamped above
}

func (l *latencies) summary() Latency {
	at := func(q float64) float64 { return float64(l.hist.ValueAtQuantile(q)) / 1000 }
	return Latency{
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: float64(l.max.Microseconds()) / 1000,
	}
}

// counts are the numbers of one op, or of all.
type counts struct {
	requests, failed, late, partial, orders, pending int64
	tries                                            int64
	failures, business                               map[string]int64
	all, served, refused                             *latencies
}

func newCounts() *counts {
	return &counts{
		failures: map[string]int64{}, business: map[string]int64{},
		all: newLatencies(), served: newLatencies(), refused: newLatencies(),
	}
}

func (c *counts) add(r result) {
	latency := r.done.Sub(r.visit.intended)
	c.requests++
	c.tries += int64(r.tries)
	c.all.record(latency)
	if r.late {
		c.late++
	}
	if r.partial {
		c.partial++
	}
	switch {
	case r.failed():
		c.failed++
		c.failures[r.code]++
		c.refused.record(latency)
		return
	case r.business:
		c.business[r.code]++
	case r.visit.op == Checkout && !r.visit.probe:
		c.orders++
		if r.order.Status == "pending" {
			c.pending++
		}
	}
	c.served.record(latency)
}

func (c *counts) stats() Stats {
	s := Stats{
		Requests: c.requests, Success: ratio(c.requests-c.failed, c.requests),
		Failures: maps.Clone(c.failures), Business: maps.Clone(c.business),
		Late: c.late, Partial: c.partial, Orders: c.orders, Pending: c.pending,
		Latency: c.all.summary(), Served: c.served.summary(),
	}
	if c.requests > 0 {
		s.TriesPerRequest = float64(c.tries) / float64(c.requests)
	}
	if c.failed > 0 {
		refused := c.refused.summary()
		s.Failed = &refused
	}
	return s
}

// ratio is 1 when there is nothing to divide: no request, no failure.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// recorder adds up results; safe for concurrent use.
type recorder struct {
	mu     sync.Mutex
	total  *counts
	byOp   map[string]*counts
	window window
}

// window is what happened since the last tick.
type window struct {
	requests, failed int64
	lat              *latencies
}

func newRecorder(mix Mix) *recorder {
	r := &recorder{total: newCounts(), byOp: map[string]*counts{}, window: window{lat: newLatencies()}}
	for _, s := range mix {
		if s.Weight > 0 {
			r.byOp[s.Op] = newCounts()
		}
	}
	return r
}

func (r *recorder) add(res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.window.requests++
	if res.failed() {
		r.window.failed++
	}
	r.window.lat.record(res.done.Sub(res.visit.intended))
	if !res.visit.counted {
		return
	}
	r.total.add(res)
	r.byOp[res.visit.op].add(res)
}

// tick returns the window since the last tick and the totals so far.
func (r *recorder) tick() Tick {
	r.mu.Lock()
	defer r.mu.Unlock()
	lat := r.window.lat.summary()
	t := Tick{
		Requests: r.window.requests, Failed: r.window.failed, P50: lat.P50, P99: lat.P99, Max: lat.Max,
		TotalRequests: r.total.requests, TotalFailed: r.total.failed, Orders: r.total.orders, Late: r.total.late,
	}
	r.window.lat.hist.Reset()
	r.window = window{lat: &latencies{hist: r.window.lat.hist}}
	return t
}

func (r *recorder) result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := Result{Stats: r.total.stats(), ByOp: map[string]Stats{}}
	for op, c := range r.byOp {
		res.ByOp[op] = c.stats()
	}
	if res.Requests > 0 && r.total.failed == 0 {
		res.FailureBound = 3 / float64(res.Requests)
	}
	return res
}
