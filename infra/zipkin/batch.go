package zipkin

import "slices"

// batch is the spans of one request, checked and in their stored form, waiting
// to be stored. Nothing of a request with a fault is stored.
type batch struct {
	listed func(key []byte) bool // tags whose values are listed; nil: none
	spans  []pending
	text   []byte // of all spans, one after the other
}

// pending is what the store needs of a span besides its text. Its byte slices
// point into the request's body.
type pending struct {
	high, low, id, parent uint64
	ts, dur               int64
	name                  []byte
	local, remote         endpoint
	tags                  []tag // listed ones only
	kind                  kind
	shared, failed        bool
	hash                  uint64
	from, to              int // in the batch's text
}

// add takes a finished span that the caller uses again.
func (b *batch) add(s *span) {
	from := len(b.text)
	b.text = appendSpan(b.text, s)
	p := pending{
		high: s.high, low: s.low, id: s.id, parent: s.parent, ts: s.ts, dur: s.dur,
		name: s.name, local: s.local, remote: s.remote, kind: s.kind, shared: s.shared, failed: s.failed(),
		from: from, to: len(b.text),
	}
	if b.listed != nil {
		p.tags = slices.DeleteFunc(slices.Clone(s.tags), func(t tag) bool { return !b.listed(t.key) })
	}
	b.spans = append(b.spans, p)
}

func (b *batch) raw(i int) []byte { return b.text[b.spans[i].from:b.spans[i].to] }
