package target

import (
	"sync/atomic"
	"time"
)

// turns is how many members a turn passes over before chance takes over, or the
// scan: many are out, or much lighter than the heaviest.
const turns = 64

// cursor counts the turns of a pool, in a cache line of its own. It belongs to
// the target: a new set goes on where the old one was.
type cursor struct {
	atomic.Uint64
	_ [56]byte
}

// newCursors begin anywhere: callers that started together shall not go round
// together.
func (t *Target) newCursors() (c [3]*cursor) {
	for i := range c {
		c[i] = &cursor{}
		c[i].Store(t.random() >> 32)
	}
	return c
}

// turn chooses the next fit member in a round that is the same for all calls. In
// each round a member is passed over so that it is chosen in the part of the
// rounds that its share is of the heaviest's: gRPC's static stride scheduler
// (proposal A58), which needs a counter and nothing else.
//
// Worked example, weights 2 and 1: of the lighter one's rounds, generations 0, 1,
// 2, 3 have (32768 × generation + offset) mod 65536 = 0, 32768, 0, 32768; it is
// chosen when that is at least 65536 - 32768, so in every second.
func (p *pool) turn(not *tried, now time.Duration) (m *Member, level fitness) {
	const stride = 1 << 16
	n := uint64(len(p.members))
	var spare *Member
	for range min(2*len(p.members), turns) {
		seq := p.cursor.Add(1)
		m := p.members[seq%n]
		if not.has(m) {
			continue
		}
		if f := m.fitness(now); m.checks(f, not, now) {
			return m, f
		} else if f != fit {
			continue
		}
		spare = m
		share := uint64(stride * m.share(now) / float64(p.heaviest))
		if (share*(seq/n)+seq%n*stride/2)%stride >= stride-share {
			return m, fit
		}
	}
	return spare, fit
}
