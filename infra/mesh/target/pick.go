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
	pool                  // all members
	zones   *zones        // nil: no preference
	ring    ring          // nil: no call goes by its key
	known   int           // instances, of which the members may be a subset
	ready   bool          // discovery has answered
	err     error         // while not ready: why not
	changed chan struct{} // closed when a newer set exists
}

// pool is members that are chosen from.
type pool struct {
	target   *Target
	members  []*Member
	heaviest int32   // weight of the members
	weight   int64   // of all members
	cursor   *cursor // of round robin
}

func (p *pool) add(m *Member) {
	p.members = append(p.members, m)
	w := m.weight.Load()
	p.heaviest = max(p.heaviest, w)
	p.weight += int64(w)
}

// tried are the members that a call must not go to again.
type tried struct {
	list [maxTries]*Member
	n    int
	once bool   // the call must not be repeated: it is no probe
	key  uint64 // where the call's key is on the ring; 0: it has none
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

// dice draws members at random. A random number is good for three draws: the
// product's high half is the draw, the low half what is left of the number.
type dice struct {
	t    *Target
	k    int
	bits uint64
}

// draw returns one of n.
func (d *dice) draw(n int) int {
	if d.k%3 == 0 {
		d.bits = d.t.random()
	}
	d.k++
	hi, lo := bits.Mul64(d.bits, uint64(n))
	d.bits = lo
	return int(hi)
}

// among returns one of n without those in out, a bit each; of more than 64 one of
// all. Not all may be out.
func (d *dice) among(n int, out uint64) int {
	if n > 64 || out == 0 {
		return d.draw(n)
	}
	i := d.draw(n - bits.OnesCount64(out))
	for ; out != 0 && i >= bits.TrailingZeros64(out); out &= out - 1 {
		i++
	}
	return i
}

// pick chooses a member for a call. Whatever the policy, its cost does not grow
// with the set; only where no fit member is found are all looked at.
func (s *set) pick(not *tried, now time.Duration) (*Member, fitness) {
	if len(s.members) == 0 {
		return nil, hopeless
	}
	if not.key != 0 && s.ring != nil {
		if m, level := s.keyed(not, now); m != nil {
			return m, level
		}
	}
	if s.zones != nil {
		if m, level := s.choose(now).pick(not, now); m != nil {
			return m, level
		}
	}
	if m, level := s.pool.pick(not, now); m != nil {
		return m, level
	}
	return s.scan(not, now)
}

// pick chooses by the target's policy, and returns nil when chance, or the turn,
// found no fit member.
func (p *pool) pick(not *tried, now time.Duration) (*Member, fitness) {
	if p.target.opts.Balance.Policy == RoundRobin {
		return p.turn(not, now)
	}
	return p.two(not, now)
}

// two chooses the better of two random fit members that were not tried: callers
// that do not know of each other do not herd. Members are drawn by their share of
// the traffic; one that lost the draw is still better than none. In a small set
// nobody is overlooked: those that are of no use are not drawn again.
func (p *pool) two(not *tried, now time.Duration) (*Member, fitness) {
	t, n := p.target, len(p.members)
	var first, spare *Member
	var one, spared choice
	d := dice{t: t}
	next, ahead, out := d.draw(n), 0, uint64(0)
	p.members[next].look()
	if n > 1 { // nearly always these two are all it takes
		ahead = d.among(n, 1<<next)
		p.members[ahead].look()
	}
	for k := 0; k < draws; k++ {
		m, again := p.members[next], false
		if !not.has(m) && m != first {
			if f := m.fitness(now); m.checks(f, not, now) {
				return m, f
			} else if f == fit {
				switch c := m.choice(now); {
				case c.share < float64(p.heaviest) && !t.chance(c.share/float64(p.heaviest)):
					again = first == nil // else the others would get more than their shares
					if spare == nil || c.less(spared) {
						spare, spared = m, c
					}
				case first == nil:
					first, one = m, c
				case c.less(one):
					return m, fit
				default:
					return first, fit
				}
			}
		}
		if !again {
			out |= 1 << next
		}
		switch {
		case bits.OnesCount64(out) == n:
			k = draws // all were looked at
		case k == 0 && first != nil:
			next = ahead
		default:
			next = d.among(n, out)
		}
	}
	if first == nil || spare != nil && spared.less(one) {
		first = spare
	}
	return first, fit
}

// checks reports whether the call is the one that finds out about a member which
// is out of rotation.
func (m *Member) checks(f fitness, not *tried, now time.Duration) bool {
	return f == due && m.asks(not) || f == suspected && !not.once && m.probe(now)
}

// scan finds the best of the fittest members. When only hopeless ones are left
// the call panics, in Envoy's sense: one that may well fail is better than none.
// Behind an open breaker that is one call at a time, so that a dependency that
// hangs costs the others no time and one that recovers is found at once.
func (s *set) scan(not *tried, now time.Duration) (best *Member, level fitness) {
	n := len(s.members)
	offset := int(s.target.random() % uint64(n))
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
