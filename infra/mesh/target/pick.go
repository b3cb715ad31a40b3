package target

import (
	"math/bits"
	"slices"
	"time"
)

// draws is how many random members a pick looks at before it looks at all.
const draws = 6

// set is what calls pick from: an immutable view that updates replace.
type set struct {
	members  []*Member
	heaviest int           // weight of the members
	ready    bool          // discovery has answered
	err      error         // while not ready: why not
	changed  chan struct{} // closed when a newer set exists
}

// tried are the members that a call must not go to again.
type tried struct {
	list [maxTries]*Member
	n    int
	once bool // the call must not be repeated: it is no probe
}

func (t *tried) add(m *Member) {
	if t.n < len(t.list) {
		t.list[t.n] = m
		t.n++
	}
}

func (t *tried) has(m *Member) bool {
	return slices.Contains(t.list[:t.n], m)
}

// order draws members at random: small sets without repetition, so that all of
// them are seen, large ones with, so that a draw costs the same.
type order struct {
	t    *Target
	n    int
	k    int
	bits uint64
	list [draws]uint8
}

// draw returns one of n, at random. A random number is good for three draws: the
// product's high half is the draw, the low half what is left of the number.
func (o *order) draw(n int) int {
	if o.k%3 == 0 {
		o.bits = o.t.random()
	}
	o.k++
	hi, lo := bits.Mul64(o.bits, uint64(n))
	o.bits = lo
	return int(hi)
}

func (o *order) next() int {
	if o.n > draws {
		return o.draw(o.n)
	}
	if o.k == 0 {
		o.list = [draws]uint8{0, 1, 2, 3, 4, 5}
	}
	k := o.k
	j := k + o.draw(o.n-k)
	o.list[k], o.list[j] = o.list[j], o.list[k]
	return int(o.list[k])
}

// pick chooses the better of two random fit members that were not tried: its
// cost does not grow with the set, and callers that do not know of each other do
// not herd. Members are drawn by their share of the traffic; one that lost the
// draw is still better than none. Where chance finds no fit one, all are looked
// at.
func (s *set) pick(not *tried, now time.Duration) (*Member, fitness) {
	n := len(s.members)
	if n == 0 {
		return nil, hopeless
	}
	t := s.members[0].target
	var first, spare *Member
	var one, spared choice
	o := order{t: t, n: n}
	var pair [2]*Member // nearly always they are all it takes
	for i := range min(n, len(pair)) {
		pair[i] = s.members[o.next()]
		pair[i].look()
	}
	for i := range min(n, draws) {
		m := pair[i%len(pair)]
		if i >= len(pair) {
			m = s.members[o.next()]
		}
		if m == first || m == spare || not.has(m) {
			continue
		}
		if f := m.fitness(now); f == due && m.asks(not) || f == suspected && !not.once && m.probe(now) {
			return m, f
		} else if f != fit {
			continue
		}
		c := m.choice(now)
		if c.share < float64(s.heaviest) && !t.chance(c.share/float64(s.heaviest)) {
			if spare == nil || c.less(spared) {
				spare, spared = m, c
			}
			continue
		}
		if first == nil {
			first, one = m, c
			continue
		}
		if c.less(one) {
			first = m
		}
		return first, fit
	}
	switch {
	case first == nil && spare == nil:
		return s.scan(not, now)
	case first == nil || spare != nil && spared.less(one):
		return spare, fit
	}
	return first, fit
}

// scan finds the best of the fittest members. When only hopeless ones are left
// the call panics, in Envoy's sense: one that may well fail is better than none.
// Behind an open breaker that is one call at a time, so that a dependency that
// hangs costs the others no time and one that recovers is found at once.
func (s *set) scan(not *tried, now time.Duration) (best *Member, level fitness) {
	n := len(s.members)
	offset := int(s.members[0].target.random() % uint64(n))
	var least choice
	for i := range n {
		m := s.members[(i+offset)%n]
		if not.has(m) {
			continue
		}
		f := m.fitness(now)
		if f == hopeless && m.inFlight.Load() > 0 && !m.breaker.Ready() {
			continue
		}
		c := m.choice(now)
		if best == nil || f > level || f == level && c.less(least) {
			best, level, least = m, f, c
		}
	}
	return best, level
}
