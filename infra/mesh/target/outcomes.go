package target

import (
	"math"
	"math/bits"
	"sync/atomic"
)

const (
	// remembered is how many outcomes of each instance are kept.
	remembered = 63
	// odds is how unlikely chance must be as the reason. An instance is tested on
	// each failure and over several lengths, so one in a thousand is too likely.
	odds = 1e-4
	// witnesses is how many of the other members a test looks at, at most.
	witnesses = 32
)

// outcomes are the last tries of an instance, a bit each, failures set; a
// leading one marks how many there are. They count tries and not time, so that
// a test needs as many of a busy instance as of an idle one. The zero value has
// none.
type outcomes struct{ bits atomic.Uint64 }

// add notes a try. Successes of a sound instance, which are nearly all there
// is, write nothing.
func (o *outcomes) add(failed bool) {
	const full = 1 << remembered
	for {
		was := o.bits.Load()
		is := max(was, 1) << 1
		if was >= full {
			is |= full
		}
		if failed {
			is |= 1
		}
		if is == was || o.bits.CompareAndSwap(was, is) {
			return
		}
	}
}

// last tells how many of the last k tries failed, and how many there are.
func (o *outcomes) last(k int) (failed, seen int) {
	b := o.bits.Load()
	seen = min(max(bits.Len64(b)-1, 0), k)
	return bits.OnesCount64(b & (1<<seen - 1)), seen
}

func (o *outcomes) forget() { o.bits.Store(0) }

// chance is how likely it is that failed or more of n tries fail when each does
// with probability p: the tail of the binomial distribution. It is exact, as
// that of Clopper and Pearson (1934); means and deviations are wrong for few
// tries and for rates near 0.
func chance(failed, n int, p float64) (sum float64) {
	if p >= 1 {
		return 1
	}
	term := math.Pow(p, float64(n)) // that all fail
	for i := n; i >= failed; i-- {
		sum += term
		term *= float64(i) / float64(n-i+1) * (1 - p) / p
	}
	return sum
}

// lengths are over how many of the last tries an instance is tested: few find a
// break soon, many find a small one.
var lengths = [...]int{5, 8, 12, 16, 24, 32, remembered}

// worse reports whether the member fails so much more often than the others in
// rotation that it is not chance. streak is how many failures in a row are
// reason enough if the others do better, 0 to test the rate.
//
// Worked example: the others of three had no failure. Then 4 of the last 5 tries,
// 5 of 8, 7 of 16, 9 of 32 or 13 of 63 take an instance out; where the others fail
// at 10 % it takes 5, 7, 10, 15 or 23. Envoy's test (1.9 standard deviations below the
// mean, from five hosts and 100 requests on) finds nothing among three: none of
// three numbers is further than 1.2 of their deviations from the mean.
func (m *Member) worse(streak int) bool {
	margin := max(m.target.opts.Eject.Margin, 0)
	if streak > 0 {
		n := min(streak, remembered)
		rest, sound := m.others(n)
		return sound || chance(n, n, rest+margin) < odds
	}
	for _, k := range lengths {
		failed, seen := m.outcomes.last(k)
		if seen < k {
			return false
		}
		if chance(failed, k, margin) >= odds {
			continue // not even if the others never failed
		}
		if rest, _ := m.others(k); chance(failed, k, rest+margin) < odds {
			return true
		}
	}
	return false
}

// others is the failure rate of the other members in rotation. It is measured
// over all that is remembered and over twice as many tries as the member is
// tested with, so that a failure that begins everywhere at the same time shows
// everywhere; the higher counts. sound is that none of them failed.
func (m *Member) others(k int) (rate float64, sound bool) {
	members := m.target.set.Load().members
	offset := 0
	if len(members) > witnesses {
		offset = int(m.target.random() % uint64(len(members)))
	}
	var recent, all struct{ failed, seen int }
	for i := range min(len(members), witnesses) {
		other := members[(i+offset)%len(members)]
		if other == m || other.out.Load() != 0 {
			continue
		}
		f, n := other.outcomes.last(min(2*k, remembered))
		recent.failed, recent.seen = recent.failed+f, recent.seen+n
		f, n = other.outcomes.last(remembered)
		all.failed, all.seen = all.failed+f, all.seen+n
	}
	// Laplace's rule of succession: few tries without a failure prove little.
	recently, ever := float64(recent.failed+1)/float64(recent.seen+2), float64(all.failed+1)/float64(all.seen+2)
	return max(recently, ever), all.failed == 0
}
