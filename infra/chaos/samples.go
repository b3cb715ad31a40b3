package chaos

import (
	"slices"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
)

// maxSamples bounds what a run remembers: 40 bytes each.
const maxSamples = 5_000_000

// sample is one request, reduced to what is counted.
type sample struct {
	at      time.Duration // it was due, after the run began
	took    time.Duration // from then on
	code    string        // of the failure
	tries   int16
	op      string
	failed  bool
	partial bool
	late    bool
}

func (s sample) whole() bool { return !s.failed && !s.partial }

// kept is how many of the slowest and of the failed requests a journal shows.
const kept = 20

// recorder remembers every request of a run; safe for concurrent use.
type recorder struct {
	began time.Time

	mu      sync.Mutex
	all     samples
	dropped int
	slowest []Request // of those that did not fail
	failed  []Request
}

func (r *recorder) add(a load.Answer) {
	s := sample{
		at: a.Intended.Sub(r.began), took: a.Done.Sub(a.Intended), code: a.Code, tries: int16(min(a.Tries, 1000)),
		op: a.Op, failed: a.Failed, partial: a.Partial, late: a.Late,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == maxSamples {
		r.dropped++
		return
	}
	r.all = append(r.all, s)
	request := Request{
		At: s.at.Seconds(), Op: a.Op, Took: milliseconds(s.took), Status: a.Status, Code: a.Code, TraceID: a.TraceID, Order: a.Order,
	}
	switch {
	case s.failed && len(r.failed) < kept:
		r.failed = append(r.failed, request)
	case s.failed:
	case len(r.slowest) < kept || request.Took > r.slowest[kept-1].Took:
		i, _ := slices.BinarySearchFunc(r.slowest, request, func(a, b Request) int { return int(b.Took*1000) - int(a.Took*1000) })
		r.slowest = slices.Insert(r.slowest, i, request)
		r.slowest = r.slowest[:min(len(r.slowest), kept)]
	}
}

// snapshot returns the requests so far; they may still come, so a window counts
// only once its requests have had their deadline.
func (r *recorder) snapshot() samples {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.all)
}

// window is a part of a run, from included, to excluded.
type window struct{ from, to time.Duration }

func (w window) seconds() float64 { return (w.to - w.from).Seconds() }

// halves are the window's two, for the A/A comparison.
func (w window) halves() (first, second window) {
	middle := w.from + (w.to-w.from)/2
	return window{w.from, middle}, window{middle, w.to}
}

type samples []sample

// in returns the requests due in w of one op, or of all with "".
func (all samples) in(w window, op string) samples {
	var some samples
	for _, s := range all {
		if s.at >= w.from && s.at < w.to && (op == "" || s.op == op) {
			some = append(some, s)
		}
	}
	return some
}

func (all samples) where(is func(sample) bool) samples {
	var some samples
	for _, s := range all {
		if is(s) {
			some = append(some, s)
		}
	}
	return some
}

func (all samples) count(is func(sample) bool) int {
	n := 0
	for _, s := range all {
		if is(s) {
			n++
		}
	}
	return n
}

// quantile returns the latency in ms that the share q of the requests did not
// exceed; 0 without requests.
func (all samples) quantile(q float64) float64 { return all.latencies().quantile(q) }

// latencies are sorted.
type latencies []time.Duration

func (all samples) latencies() latencies {
	took := make(latencies, len(all))
	for i, s := range all {
		took[i] = s.took
	}
	slices.Sort(took)
	return took
}

func (l latencies) quantile(q float64) float64 {
	if len(l) == 0 {
		return 0
	}
	i := int(q*float64(len(l))+0.9999999) - 1 // nearest rank
	return milliseconds(l[min(max(i, 0), len(l)-1)])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stats are what customers saw in a window.
func (all samples) stats(w window) Stats {
	some := all.in(w, "")
	s := some.numbers()
	s.ByOp = map[string]*Stats{}
	for _, op := range []string{load.Browse, load.Checkout} {
		if of := some.in(w, op); len(of) > 0 {
			numbers := of.numbers()
			s.ByOp[op] = &numbers
		}
	}
	return s
}

func (all samples) numbers() Stats {
	s := Stats{Requests: int64(len(all)), Success: 1}
	tries := 0
	for _, one := range all {
		tries += int(one.tries)
		if one.partial {
			s.Partial++
		}
		if one.late {
			s.Late++
		}
		if one.failed {
			if s.Failures == nil {
				s.Failures = map[string]int64{}
			}
			s.Failures[one.code]++
		}
	}
	failed := all.count(func(s sample) bool { return s.failed })
	s.Bound = failureBound(failed, len(all))
	took := all.latencies()
	s.P50, s.P90, s.P99, s.P999, s.Max = took.quantile(.5), took.quantile(.9), took.quantile(.99), took.quantile(.999), took.quantile(1)
	if len(all) > 0 {
		s.Success = 1 - float64(failed)/float64(len(all))
		s.Tries = float64(tries) / float64(len(all))
	}
	return s
}

// second is one second of the time line.
func (all samples) second(at time.Duration) Second {
	some := all.in(window{at, at + time.Second}, "")
	took := some.latencies()
	return Second{
		At: at.Seconds(), Requests: int64(len(some)),
		Failed:  int64(some.count(func(s sample) bool { return s.failed })),
		Partial: int64(some.count(func(s sample) bool { return s.partial })),
		P50:     took.quantile(.5), P99: took.quantile(.99), Max: took.quantile(1),
	}
}
