package zipkin

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// span is a decoded span. Its byte slices may point into the request's body,
// so that it lives no longer than the request.
type span struct {
	high, low  uint64 // the trace's id
	id, parent uint64 // parent 0: none
	kind       kind
	shared     bool
	debug      bool
	ts, dur    int64 // microseconds; 0: unknown
	name       []byte
	local      endpoint
	remote     endpoint
	notes      []note
	tags       []tag

	hasTrace, hasID bool
}

type note struct {
	ts    int64
	value []byte
}

type tag struct{ key, value []byte }

type kind uint8

const (
	kindNone kind = iota
	kindClient
	kindServer
	kindProducer
	kindConsumer
)

// kindNames are in the order of Zipkin's protobuf enumeration.
var kindNames = [...]string{"", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"}

func parseKind(text []byte) (kind, error) {
	for k, name := range kindNames {
		if k > 0 && string(text) == name {
			return kind(k), nil
		}
	}
	return 0, fmt.Errorf("No enum constant zipkin2.Span.Kind.%s", text) //nolint:staticcheck // Zipkin's own words
}

// reset empties s for the next span and keeps its memory.
func (s *span) reset() { *s = span{notes: s.notes[:0], tags: s.tags[:0]} }

// setTag adds a tag; of two with one key the later one stays.
func (s *span) setTag(key, value []byte) {
	s.tags = append(s.tags, tag{key, value})
}

// finish checks what must be there and brings the rest into its one form.
func (s *span) finish() error {
	switch {
	case !s.hasTrace && !s.hasID:
		return errors.New("Missing : traceId id") //nolint:staticcheck // Zipkin's own words
	case !s.hasTrace:
		return errors.New("Missing : traceId") //nolint:staticcheck // Zipkin's own words
	case !s.hasID:
		return errors.New("Missing : id") //nolint:staticcheck // Zipkin's own words
	}
	if s.parent == s.id {
		s.parent = 0
	}
	if s.kind == kindClient {
		s.shared = false
	}
	s.ts, s.dur = max(s.ts, 0), max(s.dur, 0)
	if len(s.notes) > 1 {
		slices.SortStableFunc(s.notes, func(a, b note) int {
			return cmp.Or(cmp.Compare(a.ts, b.ts), bytes.Compare(a.value, b.value))
		})
		s.notes = slices.CompactFunc(s.notes, func(a, b note) bool {
			return a.ts == b.ts && bytes.Equal(a.value, b.value)
		})
	}
	if len(s.tags) > 1 {
		s.sortTags()
	}
	return nil
}

// sortTags orders by key and keeps the last value of each.
func (s *span) sortTags() {
	slices.SortStableFunc(s.tags, func(a, b tag) int { return bytes.Compare(a.key, b.key) })
	kept := s.tags[:0]
	for i, t := range s.tags {
		if i+1 == len(s.tags) || !bytes.Equal(t.key, s.tags[i+1].key) {
			kept = append(kept, t)
		}
	}
	s.tags = kept
}

// failed says whether the span carries Zipkin's tag for an error.
func (s *span) failed() bool {
	return slices.ContainsFunc(s.tags, func(t tag) bool { return string(t.key) == "error" })
}

// parseTraceID reads 1 to 32 lower-case hex digits; 64-bit ids have high 0.
func parseTraceID(text []byte) (high, low uint64, err error) {
	switch n := len(text); {
	case n == 0:
		return 0, 0, errors.New("traceId is empty")
	case n > 32:
		return 0, 0, errors.New("traceId.length > 32")
	case n > 16:
		if high, err = parseHex(text[:n-16], text); err != nil {
			return 0, 0, err
		}
		low, err = parseHex(text[n-16:], text)
	default:
		low, err = parseHex(text, text)
	}
	if err == nil && high == 0 && low == 0 {
		err = errors.New("traceId is all zeros")
	}
	return high, low, err
}

// parseID reads the 1 to 16 lower-case hex digits of a span's id. A zero passes
// unless it is written out in full: so does Zipkin.
func parseID(text []byte) (uint64, error) {
	switch n := len(text); {
	case n == 0:
		return 0, errors.New("id is empty")
	case n > 16:
		return 0, errors.New("id.length > 16")
	}
	id, err := parseHex(text, text)
	if err == nil && id == 0 && len(text) == 16 {
		err = errors.New("id is all zeros")
	}
	return id, err
}

// parseParentID is parseID for a parent, where zeros mean that there is none.
func parseParentID(text []byte) (uint64, error) {
	switch n := len(text); {
	case n == 0:
		return 0, errors.New("parentId is empty")
	case n > 16:
		return 0, errors.New("parentId.length > 16")
	}
	return parseHex(text, text)
}

// parseHex reads at most 16 digits; whole is what an error complains of.
func parseHex(digits, whole []byte) (v uint64, err error) {
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, fmt.Errorf("%s should be lower-hex encoded with no prefix", whole)
		}
	}
	return v, nil
}

// lower returns text in lower case, without copying what is so already.
func lower(text []byte) []byte {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' || c >= 0x80 {
			return bytes.ToLower(text)
		}
	}
	return text
}
