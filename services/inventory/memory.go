package inventory

import (
	"slices"
	"time"
)

// Memory of settled holds: a repeated Commit or Release of a key is recognised
// for an hour, or until so many later holds of the same shard were settled.
const (
	settledFor = time.Hour
	settledMax = 100_000
)

// place names one key's hold of one SKU.
type place struct{ sku, key string }

// outcome is what became of a settled hold.
type outcome struct {
	status Status
	reason string
}

// settlement is an outcome with when and of what.
type settlement struct {
	place
	outcome
	at time.Time
}

// memory is what is known of settled holds.
type memory struct {
	outcomes map[place]outcome
	queue    []settlement // oldest first
	lists    []list       // the stored ones that still matter, oldest first
	unlisted int          // the last so many of the queue are in no list yet
}

// list is where a list of settled holds is stored, and from when it is.
type list struct {
	seq uint64
	at  time.Time
}

func newMemory() memory { return memory{outcomes: map[place]outcome{}} }

// note adds what was just settled.
func (m *memory) note(s settlement) {
	m.outcomes[s.place] = s.outcome
	m.queue = append(m.queue, s)
	m.unlisted++
	m.forget(s.at)
}

// recall adds what was settled before everything that is known.
func (m *memory) recall(older []settlement, lists []list) {
	older = slices.DeleteFunc(older, func(s settlement) bool { _, known := m.outcomes[s.place]; return known })
	for _, s := range older {
		m.outcomes[s.place] = s.outcome
	}
	m.queue = append(older, m.queue...)
	m.lists = append(lists, m.lists...)
	if n := len(m.queue); n > 0 {
		m.forget(m.queue[n-1].at)
	}
}

// listed notes that the oldest n of what was in no list are in one now.
func (m *memory) listed(n int, l list) {
	m.unlisted = max(0, m.unlisted-n)
	m.lists = append(m.lists, l)
}

// forget drops what is too old or too much, seen from now; not what is in no
// list yet.
func (m *memory) forget(now time.Time) {
	n := 0
	for len(m.queue)-n > m.unlisted && (len(m.queue)-n > settledMax || now.Sub(m.queue[n].at) > settledFor) {
		delete(m.outcomes, m.queue[n].place)
		n++
	}
	m.queue = m.queue[n:]
	for len(m.lists) > 0 && now.Sub(m.lists[0].at) > settledFor {
		m.lists = m.lists[1:]
	}
}

// first is the sequence of the oldest list that still matters, 0: there is none.
func (m *memory) first() uint64 {
	if len(m.lists) == 0 {
		return 0
	}
	return m.lists[0].seq
}

// next returns at most n of what is in no list yet, oldest first, as a list.
func (m *memory) next(n int) settled {
	from := len(m.queue) - m.unlisted
	s := settled{Committed: map[string][]string{}, Released: map[string]map[string]string{}}
	for _, e := range m.queue[from:min(from+n, len(m.queue))] {
		if e.status == Committed {
			s.Committed[e.sku] = append(s.Committed[e.sku], e.key)
			continue
		}
		if s.Released[e.sku] == nil {
			s.Released[e.sku] = map[string]string{}
		}
		s.Released[e.sku][e.key] = e.reason
	}
	return s
}

// size is how many holds s lists.
func (s settled) size() (n int) {
	for _, keys := range s.Committed {
		n += len(keys)
	}
	for _, keys := range s.Released {
		n += len(keys)
	}
	return n
}

// settlements are the holds that s lists. They count as settled when the list
// was written, which is later than they were.
func (s settled) settlements(at time.Time) []settlement {
	all := make([]settlement, 0, s.size())
	for sku, keys := range s.Committed {
		for _, key := range keys {
			all = append(all, settlement{place{sku, key}, outcome{status: Committed}, at})
		}
	}
	for sku, keys := range s.Released {
		for key, reason := range keys {
			all = append(all, settlement{place{sku, key}, outcome{Released, reason}, at})
		}
	}
	return all
}
