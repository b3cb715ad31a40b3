package target

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// weighEvery is how often the zones are compared, and sample how many members
	// of each at most.
	weighEvery = 100 * time.Millisecond
	sample     = 64
	// overprovisioned is Envoy's factor: a zone gets all of its traffic while at
	// least 1/1.4 of its members are healthy.
	overprovisioned = 1.4
	// slower is how many times longer than elsewhere an answer in the own zone
	// takes when it has more calls than it bears.
	slower = 1.25
	// yield and regain are how its part of the calls follows: it falls by a fifth
	// and rises by a fiftieth, each weighEvery.
	yield  = 0.8
	regain = 0.02
	// trickle is the part of the calls that may always go anywhere, so that the
	// latency elsewhere stays known and connections stay warm.
	trickle = 1.0 / 64
	// averaged is how far the mean latency of a member goes back.
	averaged = 250 * time.Millisecond
)

// zones prefers the members of the caller's own zone, within two bounds:
//
//   - health: when too few of them are healthy the rest of the calls goes to the
//     others, as in Envoy's locality weighting: min(100 %, 140 % × healthy/total)
//     of each side;
//   - load: while their answers take longer than those of the others, more and
//     more calls choose among all members, as if there were no zones; less and
//     less while they do not. A zone may have too few instances for the callers
//     in it. No caller knows the others, but each one sees the queue.
//
// Worked example: two of four own members are healthy, and all of the others:
// 1.4 × 2/4 = 70 % stay. The only own member gets calls from everywhere around
// and answers after 15 ms, the others after 10 ms: with a grain of 5 ms on both
// that is a third more. After 300 ms 0.8³ = 51 % of the calls still insist on it.
type zones struct {
	near, far pool
	due       atomic.Int64  // when to compare again, since the target's start
	health    atomic.Uint64 // float64 bits: the part of the calls that is not for far
	stay      atomic.Uint64 // float64 bits: the part of the calls that is for near
}

// zonesOf returns nil where there is no choice of zones.
func (t *Target) zonesOf(members []*Member) *zones {
	z := &zones{near: pool{target: t, cursor: t.cursors[1]}, far: pool{target: t, cursor: t.cursors[2]}}
	for _, m := range members {
		if m.labels.Load().zone == t.opts.Balance.Zone {
			z.near.add(m)
		} else {
			z.far.add(m)
		}
	}
	if len(z.near.members) == 0 || len(z.far.members) == 0 {
		return nil
	}
	return z
}

// choose draws where a call looks for a member. One call in weighEvery compares
// the zones, on a sample: its cost is bounded, too. Where nobody near is healthy
// that call looks there nevertheless: it may be the one that finds out whether
// somebody is well again, and no other would.
func (s *set) choose(now time.Duration) *pool {
	z := s.zones
	if due := z.due.Load(); int64(now) >= due && z.due.CompareAndSwap(due, int64(now+weighEvery)) && z.weigh(now) == 0 {
		return &z.near
	}
	switch u := s.target.part(); {
	case u < math.Float64frombits(z.stay.Load()):
		return &z.near
	case u < math.Float64frombits(z.health.Load()):
		return &s.pool
	}
	return &z.far
}

// weigh compares the zones and returns the part of the calls that is not for far.
func (z *zones) weigh(now time.Duration) (health float64) {
	near, far := z.near.survey(now), z.far.survey(now)
	health = 1
	if near.health+far.health > 0 {
		health = near.health / (near.health + min(1-near.health, far.health))
	}
	t := z.near.target
	keep := 1 - math.Float64frombits(t.yielded.Load())
	if near.latency > 0 && far.latency > 0 && near.latency+float64(grain) > slower*(far.latency+float64(grain)) {
		keep *= yield
	} else {
		keep = min(1, keep+regain)
	}
	t.yielded.Store(math.Float64bits(1 - keep)) // of the target: it survives the set
	z.health.Store(math.Float64bits(health))
	z.stay.Store(math.Float64bits(health * min(keep, 1-trickle)))
	return health
}

// survey is what a sample of a pool's members tells.
type survey struct {
	health  float64 // Envoy's, 0 to 1
	latency float64 // mean nanoseconds of an answer, 0 while unknown
}

func (p *pool) survey(now time.Duration) survey {
	n := min(len(p.members), sample)
	begin := int(p.target.random() % uint64(len(p.members)))
	healthy, known, latency := 0, 0, 0.0
	for i := range n {
		m := p.members[(begin+i)%len(p.members)]
		if !m.usable(now) {
			continue
		}
		healthy++
		if mean := math.Float64frombits(m.mean.Load()); mean > 0 {
			latency += mean
			known++
		}
	}
	return survey{min(1, overprovisioned*float64(healthy)/float64(n)), latency / float64(max(known, 1))}
}

// average notes the time of an answer in the mean that zones are compared by.
// The peak EWMA is no measure for it: the zone that gets the calls sees the
// rare slow answers. It comes before the peak EWMA, whose clock it uses. Of two
// answers at the same instant one may be lost.
func (m *Member) average(now, rtt time.Duration) {
	if m.target.set.Load().zones == nil {
		return
	}
	mean := math.Float64frombits(m.mean.Load())
	w := math.Exp(-float64(now-time.Duration(m.latency.at.Load())) / float64(averaged))
	if mean == 0 {
		w = 0
	}
	m.mean.Store(math.Float64bits(mean*w + float64(rtt)*(1-w)))
}
