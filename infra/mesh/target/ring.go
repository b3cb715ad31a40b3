package target

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"
)

const (
	// ringPoints is how many points the heaviest member has on the ring. The parts
	// of the keys vary by about 1/√points around the shares.
	ringPoints = 128
	// bounded is by how much a member's part of the calls in flight may exceed its
	// share before its keys overflow to the next one on the ring (Mirrokni et al.,
	// "Consistent Hashing with Bounded Loads", 2016). So a popular key is served
	// by as many instances as it takes.
	bounded = 1.25
	// spareLoad calls in flight never count as too many.
	spareLoad = 4
	// ringSteps is how many points a call looks at before it goes by the policy.
	ringSteps = 8 * ringPoints
)

type hashKey struct{}

// WithHashKey returns a context whose calls go to the same instance as others
// with that key, where Balance asks for it. When that instance is out of
// rotation or has more than 1.25 times its share of the calls in flight the next
// one serves the key. Another caller chooses the same instance. An empty key is
// none.
func WithHashKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, hashKey{}, key)
}

// keyed reports whether calls of a method go by their key.
func (b Balance) keyed(method string) bool {
	return b.Policy == Hash || slices.Contains(b.Hash, method)
}

// keyOf is where a call's key is on the ring, 0 if it has none.
func (t *Target) keyOf(ctx context.Context, method string, request any) uint64 {
	var key string
	if find := t.opts.Balance.Key; find != nil {
		key = find(ctx, method, request)
	} else {
		key, _ = ctx.Value(hashKey{}).(string)
	}
	if key == "" {
		return 0
	}
	return max(hash(key), 1)
}

// hash is FNV-1a, finished like murmur3 so that similar texts lie far apart. It
// must be the same in every process.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// ring is consistent hashing: members have points on a circle, a key belongs to
// the next point. The points of a member depend on its id and weight only, so
// the loss of one moves its keys and no others; a change of the heaviest weight
// moves many.
type ring []point

type point struct {
	at     uint64
	member *Member
}

func newRing(members []*Member) ring {
	heaviest := int32(1)
	for _, m := range members {
		heaviest = max(heaviest, m.weight.Load())
	}
	var r ring
	for _, m := range members {
		n := max(int(math.Round(ringPoints*float64(m.weight.Load())/float64(heaviest))), 1)
		for i := range n {
			r = append(r, point{hash(m.id + "#" + strconv.Itoa(i)), m})
		}
	}
	slices.SortFunc(r, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.member.addr, b.member.addr))
	})
	return r
}

// keyed chooses the member of the call's key: the first on the ring that is fit
// and not full, or that may be probed. It returns nil when none is near.
func (s *set) keyed(not *tried, now time.Duration) (*Member, fitness) {
	begin, _ := slices.BinarySearchFunc(s.ring, not.key, func(p point, key uint64) int { return cmp.Compare(p.at, key) })
	var last *Member
	for i := range min(len(s.ring), ringSteps) {
		m := s.ring[(begin+i)%len(s.ring)].member
		if m == last || not.has(m) {
			continue
		}
		last = m
		f := m.fitness(now)
		if m.checks(f, not, now) || f == fit && !s.full(m) && s.target.chance(m.ramp(now)) {
			return m, f
		}
	}
	return nil, hopeless
}

// full reports whether a member has more than its share of the calls in flight.
func (s *set) full(m *Member) bool {
	n := m.inFlight.Load()
	if n < spareLoad {
		return false
	}
	total := float64(s.target.inFlight.Load() + 1)
	return float64(n) >= math.Ceil(bounded*total*float64(m.weight.Load())/float64(s.weight))
}

// load counts calls in flight on all members, where the bound of the ring needs
// it: it is a cache line that all calls share.
func (t *Target) load(n int64) {
	if t.counts {
		t.inFlight.Add(n)
	}
}
