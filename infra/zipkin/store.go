package zipkin

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
)

// Limits bound what a Store holds. The zero value means the defaults.
type Limits struct {
	Spans int   // 500,000 if 0
	Bytes int64 // of memory, estimated; 256 MiB if 0
}

// The defaults of Limits.
const (
	DefaultSpans = 500_000
	DefaultBytes = 256 << 20
)

// record is a stored span. It never changes, so that queries read it without
// the store's lock.
type record struct {
	raw        []byte // canonical JSON
	hash       uint64 // of raw
	high       uint64
	id, parent uint64
	ts, dur    int64 // microseconds
	name       *symbol
	local      *host
	remote     *host
	kind       kind
	shared     bool
	failed     bool
}

// What a record and a trace take besides the span's text: struct, slack of the
// slice that grew, map slot, place in the queues.
const (
	recordCost = 165
	traceCost  = 350
)

// trace is the spans of one trace, in the order of their arrival. Traces are
// told apart by the lower 64 bits of their id, as some tracers keep only those.
type trace struct {
	low     uint64
	records []record
	seen    map[uint64]int // hash to index of a record, once they are many
	min     int64          // the earliest time of a span that has one, µs; 0: none has
	max     int64
	placed  int64 // where it is in the timeline, ms; -1: nowhere yet
}

// Store keeps the newest traces in memory. It is safe for concurrent use; no
// method blocks for longer than it takes to copy a few hundred references.
type Store struct {
	limits Limits
	seed   maphash.Seed

	mu       sync.RWMutex
	traces   map[uint64]*trace
	arrivals queue    // traces, the one that goes next first
	timeline timeline // traces by their latest span
	names    names
	tags     autocomplete
	spans    int
	bytes    int64 // of spans and traces; names count for themselves
	evicted  struct{ traces, spans int64 }
}

// NewStore returns an empty store. Values of the tags in autocomplete can be
// listed; nil lists none.
func NewStore(limits Limits, autocomplete []string) *Store {
	if limits.Spans <= 0 {
		limits.Spans = DefaultSpans
	}
	if limits.Bytes <= 0 {
		limits.Bytes = DefaultBytes
	}
	return &Store{
		limits: limits, seed: maphash.MakeSeed(), traces: map[uint64]*trace{},
		names: newNames(), tags: newAutocomplete(autocomplete),
	}
}

// batch returns an empty batch for accept.
func (s *Store) batch() *batch {
	b := &batch{}
	if len(s.tags.keys) > 0 {
		b.listed = s.tags.listed // the set of keys never changes
	}
	return b
}

// acceptBatch is how many spans are stored before others may have the lock.
const acceptBatch = 500

// accept stores what a batch holds.
func (s *Store) accept(b *batch) {
	for i := range b.spans {
		b.spans[i].hash = maphash.Bytes(s.seed, b.raw(i))
	}
	for from := 0; from < len(b.spans); from += acceptBatch {
		s.mu.Lock()
		for i := from; i < min(from+acceptBatch, len(b.spans)); i++ {
			s.put(&b.spans[i], b.raw(i))
		}
		s.mu.Unlock()
	}
}

// put stores one span, making room first.
func (s *Store) put(p *pending, raw []byte) {
	cost := int64(len(raw)) + recordCost
	s.makeRoom(1, cost+traceCost)
	t := s.traces[p.low]
	if t == nil {
		t = &trace{low: p.low, placed: -1}
		s.traces[p.low] = t
		s.arrivals.push(t)
		s.bytes += traceCost
	} else if t.has(p.hash, raw) {
		return
	}
	t.records = append(t.records, record{
		raw: bytes.Clone(raw), hash: p.hash, high: p.high, id: p.id, parent: p.parent, ts: p.ts, dur: p.dur,
		name: s.names.symbol(p.name), local: s.names.host(&p.local), remote: s.names.host(&p.remote),
		kind: p.kind, shared: p.shared, failed: p.failed,
	})
	s.names.add(&t.records[len(t.records)-1])
	s.tags.add(p.tags)
	s.spans++
	s.bytes += cost
	t.remember(p.hash)
	s.place(t, p.ts)
}

// place moves a trace to where its latest span belongs.
func (s *Store) place(t *trace, ts int64) {
	if ts != 0 && (t.min == 0 || ts < t.min) {
		t.min = ts
	}
	t.max = max(t.max, ts)
	if ms := t.max / 1000; ms != t.placed {
		if t.placed >= 0 {
			s.timeline.remove(slot{t.placed, t})
		}
		t.placed = ms
		s.timeline.insert(slot{ms, t})
	}
}

// manySpans is when a trace gets a set of hashes instead of being searched.
const manySpans = 32

// has reports whether an equal span is there already.
func (t *trace) has(hash uint64, raw []byte) bool {
	if t.seen != nil {
		i, ok := t.seen[hash]
		return ok && bytes.Equal(t.records[i].raw, raw)
	}
	return slices.ContainsFunc(t.records, func(r record) bool { return r.hash == hash && bytes.Equal(r.raw, raw) })
}

// remember makes the newest record known to has.
func (t *trace) remember(hash uint64) {
	switch {
	case t.seen != nil:
		t.seen[hash] = len(t.records) - 1
	case len(t.records) > manySpans:
		t.seen = make(map[uint64]int, 2*manySpans)
		for i := range t.records {
			t.seen[t.records[i].hash] = i
		}
	}
}

// makeRoom evicts whole traces, the first that arrived first, until so much
// more fits. One trace that grows without end falls to this, too.
func (s *Store) makeRoom(spans int, size int64) {
	for s.spans > 0 && (s.spans+spans > s.limits.Spans || s.held()+size > s.limits.Bytes) {
		t := s.arrivals.pop()
		delete(s.traces, t.low)
		s.timeline.remove(slot{t.placed, t})
		for i := range t.records {
			s.names.remove(&t.records[i])
			s.bytes -= int64(len(t.records[i].raw)) + recordCost
		}
		s.bytes -= traceCost
		s.spans -= len(t.records)
		s.evicted.traces++
		s.evicted.spans += int64(len(t.records))
	}
}

func (s *Store) held() int64 { return s.bytes + s.names.bytes + s.tags.bytes }

// Stats are the store's own numbers.
type Stats struct {
	Spans, Traces               int
	Bytes                       int64 // estimated memory
	EvictedSpans, EvictedTraces int64 // since the start
}

// Stats counts what is held and what had to go.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{
		Spans: s.spans, Traces: len(s.traces), Bytes: s.held(),
		EvictedSpans: s.evicted.spans, EvictedTraces: s.evicted.traces,
	}
}

// services, spanNames, remoteServices, tagKeys and tagValues list names in
// order; unknown ones have none.
func (s *Store) services() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.names.services)
}

func (s *Store) spanNames(service string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if svc := s.names.services[s.names.symbols[service]]; svc != nil {
		return sorted(svc.names)
	}
	return []string{}
}

func (s *Store) remoteServices(service string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if svc := s.names.services[s.names.symbols[service]]; svc != nil {
		return sorted(svc.remotes)
	}
	return []string{}
}

func (s *Store) tagKeys() []string { return s.tags.keys }

func (s *Store) tagValues(key string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tags.list(key)
}

// queue is first in, first out.
type queue struct {
	items []*trace
	head  int
}

func (q *queue) push(t *trace) { q.items = append(q.items, t) }

func (q *queue) pop() *trace {
	t := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head > 1024 && q.head*2 > len(q.items) {
		q.items = append(q.items[:0], q.items[q.head:]...)
		clear(q.items[len(q.items):cap(q.items)])
		q.head = 0
	}
	return t
}
