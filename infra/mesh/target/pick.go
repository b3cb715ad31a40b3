package target

import (
	"math/rand/v2"
	"slices"
	"time"
)

// draws is how many random members a pick looks at before it looks at all.
const draws = 6

// set is what calls pick from: an immutable view that updates replace.
type set struct {
	members []*Member
	ready   bool          // discovery has answered
	err     error         // while not ready: why not
	changed chan struct{} // closed when a newer set exists
}

// tried are the members that a call must not go to again.
type tried struct {
	list [maxTries]*Member
	n    int
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

// pick chooses the less loaded of two random fit members that were not tried:
// its cost does not grow with the set, and callers that do not know of each
// other do not herd. Where chance finds no fit one, all are looked at.
func (s *set) pick(not *tried, now time.Duration) (*Member, fitness) {
	n := len(s.members)
	if n == 0 {
		return nil, hopeless
	}
	var first *Member
	for range draws {
		m := s.members[rand.IntN(n)]
		if m == first || not.has(m) || m.fitness(now) != fit {
			continue
		}
		if first == nil {
			first = m
			continue
		}
		if m.cost() < first.cost() {
			first = m
		}
		return first, fit
	}
	if first != nil {
		return first, fit
	}
	return s.scan(not, now)
}

// scan finds the least loaded of the fittest members. When only hopeless ones
// are left the call panics, in Envoy's sense: one that may well fail is better
// than none. Behind an open breaker that is one call at a time, so that a
// dependency that hangs costs the others no time and one that recovers is found
// at once.
func (s *set) scan(not *tried, now time.Duration) (best *Member, level fitness) {
	n := len(s.members)
	offset := rand.IntN(n)
	for i := range n {
		m := s.members[(i+offset)%n]
		if not.has(m) {
			continue
		}
		f := m.fitness(now)
		if f == hopeless && m.inFlight.Load() > 0 && !m.breaker.Load().Ready() {
			continue
		}
		if best == nil || f > level || f == level && m.cost() < best.cost() {
			best, level = m, f
		}
	}
	return best, level
}
