// Package canary judges whether one instance of a service is worse than the
// others, from what its callers count and from how long it takes to serve.
package canary

import (
	"fmt"
	"slices"
	"time"
)

// Options says how sure and how much; the zero value is usable.
type Options struct {
	// Alpha is the probability of a false alarm of each of the two tests, however
	// long the watch lasts; 0.01 if 0.
	Alpha float64
	// Points is by how much the share of failures must exceed the others', besides
	// being surely higher; 0.005 if 0.
	Points float64
	// Ratio is how many times as long as the others it must take, usually; 1.5 if 0.
	Ratio float64
	// Grain is a difference of time that nobody notices; 1 ms if 0.
	Grain time.Duration
}

func (o Options) withDefaults() Options {
	if o.Alpha == 0 {
		o.Alpha = 0.01
	}
	if o.Points == 0 {
		o.Points = 0.005
	}
	if o.Ratio == 0 {
		o.Ratio = 1.5
	}
	if o.Grain == 0 {
		o.Grain = time.Millisecond
	}
	return o
}

// Sample is what is known at one moment, as counters since somebody's start.
type Sample struct {
	Tries  []Tries
	Served []Served
}

// Tries are what one caller counted of one instance.
type Tries struct {
	Caller, Instance string
	Tries, Failures  uint64
}

// Served is what one instance counted of one method.
type Served struct {
	Instance, Method string
	Count            uint64
	Seconds          float64
}

// Verdict is what is known of the canary.
type Verdict struct {
	Worse bool
	Why   string // a sentence with the numbers
}

// window is the time whose mean is one observation of the latency.
const window = time.Second

// Judge watches one canary. It is for one goroutine.
type Judge struct {
	id   string
	opts Options

	tries  map[[2]string]Tries // as last told, by caller and instance
	errors table
	looks  looks // at the errors

	began  time.Time
	served map[[2]string]Served // at the begin of the window, by instance and method
	slow   int                  // windows in which the canary was
	quiet  int                  // in which it was not
}

// table counts tries with their outcome.
type table struct{ canary, canaryFailed, others, othersFailed uint64 }

// New returns a Judge of the instance with that id.
func New(id string, o Options) *Judge {
	return &Judge{id: id, opts: o.withDefaults(), tries: map[[2]string]Tries{}, served: map[[2]string]Served{}}
}

// Observe takes a sample into account; call it a few times per second.
func (j *Judge) Observe(now time.Time, s Sample) Verdict {
	j.count(s.Tries)
	if v := j.judgeErrors(); v.Worse {
		return v
	}
	if j.began.IsZero() {
		j.began = now
		j.time(s.Served)
		return Verdict{}
	}
	if now.Sub(j.began) < window {
		return Verdict{}
	}
	j.began = now
	return j.judgeLatency(j.time(s.Served))
}

// count adds what is new since the last sample. What others counted before the
// first one is from before the canary and does not count.
func (j *Judge) count(tries []Tries) {
	first := len(j.tries) == 0
	for _, t := range tries {
		key := [2]string{t.Caller, t.Instance}
		before, known := j.tries[key]
		j.tries[key] = t
		mine := t.Instance == j.id
		if first && !mine || t.Tries < before.Tries || t.Failures < before.Failures {
			continue // or a caller that was restarted
		}
		if !known {
			before = Tries{}
		}
		n, failed := t.Tries-before.Tries, t.Failures-before.Failures
		if mine {
			j.errors.canary += n
			j.errors.canaryFailed += failed
		} else {
			j.errors.others += n
			j.errors.othersFailed += failed
		}
	}
}

// judgeErrors asks whether the canary fails more than the others, by Fisher's
// exact test, at moments that lie ever further apart.
func (j *Judge) judgeErrors() Verdict {
	e := j.errors
	if e.canary < minTries || e.others == 0 || !j.looks.due(e.canary) {
		return Verdict{}
	}
	mine, theirs := share(e.canaryFailed, e.canary), share(e.othersFailed, e.others)
	if mine < theirs+j.opts.Points {
		return Verdict{}
	}
	p := fisher(e.canaryFailed, e.canary, e.othersFailed, e.others)
	if p >= j.looks.alpha(j.opts.Alpha) {
		return Verdict{}
	}
	return Verdict{true, fmt.Sprintf("%.1f %% of %d tries failed, of the others' %d %.1f %% (p %.1g)",
		100*mine, e.canary, e.others, 100*theirs, p)}
}

// minTries is small because a mesh that works hides a bad canary: its callers
// eject it after a handful of failures, and then few tries come.
const minTries = 3

func share(part, all uint64) float64 { return float64(part) / float64(max(all, 1)) }

// time returns how long the canary took since the last window as a multiple of
// what the others would have taken for the same methods, and by how much longer
// that is per request; ok is false when too little was served. Of the others the
// one in the middle counts: one of them may have trouble of its own.
func (j *Judge) time(served []Served) (ratio float64, longer time.Duration, ok bool) {
	mine, others := map[string]Served{}, map[string][]float64{}
	for _, s := range served {
		key := [2]string{s.Instance, s.Method}
		before := j.served[key]
		j.served[key] = s
		if s.Count <= before.Count || s.Seconds < before.Seconds {
			continue
		}
		n, seconds := s.Count-before.Count, s.Seconds-before.Seconds
		if s.Instance == j.id {
			mine[s.Method] = Served{Count: n, Seconds: seconds}
		} else {
			others[s.Method] = append(others[s.Method], seconds/float64(n))
		}
	}
	var took, expected, n float64
	for method, m := range mine {
		if len(others[method]) > 0 {
			took += m.Seconds
			expected += float64(m.Count) * median(others[method])
			n += float64(m.Count)
		}
	}
	if n == 0 || expected == 0 {
		return 0, 0, false
	}
	return took / expected, time.Duration((took - expected) / n * float64(time.Second)), true
}

func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// judgeLatency asks whether the canary takes more than Ratio times as long in
// more than half of the windows: a sign test, which one slow request, or a slow
// second, hardly moves.
func (j *Judge) judgeLatency(ratio float64, longer time.Duration, ok bool) Verdict {
	if !ok {
		return Verdict{}
	}
	if ratio > j.opts.Ratio && longer > j.opts.Grain {
		j.slow++
	} else {
		j.quiet++
	}
	n := j.slow + j.quiet
	if n < minWindows {
		return Verdict{}
	}
	p := coin(j.slow, n)
	if p >= spent(j.opts.Alpha, n-minWindows+1) {
		return Verdict{}
	}
	return Verdict{true, fmt.Sprintf("it took over %.1f times as long as the others in %d of %d seconds, %.1f times in the last (p %.1g)",
		j.opts.Ratio, j.slow, n, ratio, p)}
}

// minWindows is the least at which the sign test can be sure enough.
const minWindows = 11
