package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/services/fault"
)

// model is one shard as one would write it without batches, events, lists and
// checkpoints.
type model struct {
	available, reserved, shipped map[string]int
	holds                        map[place]int
	ended                        map[place]Status
}

// limited are shelves that nobody fills up.
var limited = map[string]int{"limited-a": 6, "limited-b": 9, "limited-c": 3}

func newModel() *model {
	return &model{maps.Clone(limited), map[string]int{}, map[string]int{}, map[place]int{}, map[place]Status{}}
}

func (m *model) perform(r request) fault.Code {
	switch r.Kind {
	case Reserved:
		return m.reserve(r.Key, r.Lines)
	case Committed:
		return m.commit(r.Key, r.Lines)
	}
	return m.release(r.Key, r.Lines)
}

// reserve looks first, then does all or nothing.
func (m *model) reserve(key string, lines []Line) fault.Code {
	open := func(l Line) bool {
		at := place{l.SKU, key}
		return m.holds[at] != l.Quantity && m.ended[at] != Committed
	}
	for i, l := range lines {
		at := place{l.SKU, key}
		switch {
		case !open(l):
		case m.holds[at] > 0:
			return fault.KeyReused
		case m.ended[at] == Released || m.available[l.SKU] < l.Quantity:
			if code := m.release(key, lines[:i]); code != "" {
				return code
			}
			return fault.Conflict
		}
	}
	for _, l := range lines {
		if open(l) {
			m.available[l.SKU] -= l.Quantity
			m.reserved[l.SKU] += l.Quantity
			m.holds[place{l.SKU, key}] = l.Quantity
		}
	}
	return ""
}

func (m *model) commit(key string, lines []Line) fault.Code {
	for _, l := range lines {
		at := place{l.SKU, key}
		switch {
		case m.holds[at] > 0:
			m.reserved[l.SKU] -= m.holds[at]
			m.shipped[l.SKU] += m.holds[at]
			delete(m.holds, at)
			m.ended[at] = Committed
		case m.ended[at] == Released:
			return fault.Conflict
		case m.ended[at] == "":
			return fault.NotFound
		}
	}
	return ""
}

func (m *model) release(key string, lines []Line) fault.Code {
	for _, l := range lines {
		at := place{l.SKU, key}
		switch m.ended[at] {
		case Released:
			continue
		case Committed:
			return fault.Conflict
		}
		m.reserved[l.SKU] -= m.holds[at]
		m.available[l.SKU] += m.holds[at]
		delete(m.holds, at)
		m.ended[at] = Released
	}
	return ""
}

// stream is a shard's events, and an owner's copy of them.
type stream struct {
	t      *rapid.T
	events [][]byte
	copy   *shard
}

func freshCopy() *shard {
	s := newShard(0)
	for sku, units := range limited {
		s.shelves[sku] = newShelf(units)
	}
	s.whole = true
	return s
}

// write stores e and applies what a reader would read.
func (s *stream) write(e event) {
	e.At = time.Now()
	data, err := json.Marshal(e)
	if err != nil {
		s.t.Fatal(err)
	}
	s.events = append(s.events, data)
	s.copy.apply(uint64(len(s.events)), s.read(len(s.events)))
}

func (s *stream) read(seq int) (e event) {
	if err := json.Unmarshal(s.events[seq-1], &e); err != nil {
		s.t.Fatal(err)
	}
	return e
}

// checkpoint writes the lists, few holds in each, and a checkpoint.
func (s *stream) checkpoint() {
	for s.copy.memory.unlisted > 0 {
		list := s.copy.memory.next(3)
		s.write(event{Settled: &list})
	}
	state := s.copy.snapshot()
	s.write(event{Checkpoint: &state})
}

// restart begins a new copy at the last checkpoint and recalls the lists.
func (s *stream) restart() {
	s.copy = freshCopy()
	for seq := len(s.events); seq > 0; seq-- {
		if e := s.read(seq); e.Checkpoint != nil {
			s.copy.restore(uint64(seq), *e.Checkpoint)
			break
		}
	}
	for seq := int(s.copy.seq) + 1; seq <= len(s.events); seq++ {
		s.copy.apply(uint64(seq), s.read(seq))
	}
	var older []settlement
	var lists []list
	for seq := int(s.copy.oldest); seq > 0 && seq < int(s.copy.begin); seq++ {
		if e := s.read(seq); e.Settled != nil {
			older = append(older, e.Settled.settlements(e.At)...)
			lists = append(lists, list{uint64(seq), e.At})
		}
	}
	s.copy.memory.recall(older, lists)
}

// TestShardIsTheModel draws batches of requests of several lines, and in between
// checkpoints and restarts: the answers and the levels are the model's.
func TestShardIsTheModel(t *testing.T) {
	skus := slices.Sorted(maps.Keys(limited))
	rapid.Check(t, func(t *rapid.T) {
		m, s := newModel(), &stream{t: t, copy: freshCopy()}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				s.checkpoint()
				continue
			case 1:
				s.restart()
				continue
			}
			d := newDraft(s.copy)
			for range rapid.IntRange(1, 5).Draw(t, "batch") {
				r := request{
					Kind: rapid.SampledFrom([]Status{Reserved, Reserved, Committed, Released}).Draw(t, "kind"),
					Key:  rapid.SampledFrom([]string{"v", "w", "x", "y", "z"}).Draw(t, "key"),
				}
				for _, sku := range skus {
					if rapid.Bool().Draw(t, sku) {
						r.Lines = append(r.Lines, Line{sku, rapid.IntRange(1, 4).Draw(t, "quantity")})
					}
				}
				want := m.perform(r)
				if _, err := d.perform(r); fault.CodeOf(err) != want {
					t.Fatalf("%+v: %v, want %q", r, err, want)
				}
			}
			if len(d.ops) > 0 {
				s.write(d.event())
			}
		}
		s.restart()
		for _, sku := range skus {
			l := s.copy.shelves[sku].level
			if got, want := fmt.Sprint(l.Available, l.Reserved, l.Shipped), fmt.Sprint(m.available[sku], m.reserved[sku], m.shipped[sku]); got != want {
				t.Errorf("%s: available, reserved, shipped %s, want %s", sku, got, want)
			}
		}
	})
}

// TestMemoryIsBounded settles for two hours: what is older than one is forgotten,
// with its lists, but nothing before it is in a list.
func TestMemoryIsBounded(t *testing.T) {
	m, now := newMemory(), time.Now()
	settle := func(i int) {
		m.note(settlement{place{"cup", fmt.Sprint(i)}, outcome{status: Committed}, now.Add(time.Duration(i) * time.Minute)})
	}
	for i := range 120 {
		settle(i)
	}
	if len(m.outcomes) != 120 {
		t.Errorf("%d remembered, want all: they are in no list", len(m.outcomes))
	}
	for i := range 12 {
		l := m.next(10)
		m.listed(l.size(), list{uint64(i + 1), now.Add(time.Duration(10*i+9) * time.Minute)})
	}
	settle(120)
	if len(m.outcomes) != 61 || m.outcomes[place{"cup", "60"}].status != Committed || m.first() != 7 {
		t.Errorf("%d remembered, lists from %d on; want 61 from the list 7 on", len(m.outcomes), m.first())
	}
	for i := range settledMax {
		m.note(settlement{place{"tea", fmt.Sprint(i)}, outcome{status: Released}, now.Add(2 * time.Hour)})
	}
	m.listed(m.unlisted, list{100, now.Add(2 * time.Hour)})
	m.forget(now.Add(2 * time.Hour))
	if len(m.outcomes) != settledMax || len(m.queue) != settledMax {
		t.Errorf("%d remembered, want %d", len(m.outcomes), settledMax)
	}
}
