package zipkin

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
)

// query is what GET /api/v2/traces asks for.
type query struct {
	service, remote, span string     // "": any
	tags                  []tagQuery // all must be met, by spans of the service
	minDur, maxDur        *int64     // µs
	endTs, lookback       int64      // ms
	limit                 int
}

// tagQuery wants a tag with a value, or with no value a tag or annotation of
// that name.
type tagQuery struct{ key, value string }

// maxTagQueries is where Zipkin stops splitting; the rest belongs to the last.
const maxTagQueries = 100

// parseTagQuery reads "error and http.method=GET".
func parseTagQuery(text string) []tagQuery {
	if text == "" {
		return nil
	}
	var list []tagQuery
	for _, part := range strings.SplitN(text, " and ", maxTagQueries) {
		key, value, hasValue := strings.Cut(part, "=")
		q := tagQuery{strings.TrimSpace(key), strings.TrimSpace(value)}
		i := slices.IndexFunc(list, func(o tagQuery) bool { return o.key == q.key })
		switch {
		case i < 0:
			list = append(list, q)
		case hasValue:
			list[i].value = q.value
		}
	}
	return list
}

// check brings the query into its one form and refuses what makes no sense.
func (q *query) check() error {
	q.service, q.remote, q.span = strings.ToLower(q.service), strings.ToLower(q.remote), strings.ToLower(q.span)
	if q.span == "all" {
		q.span = ""
	}
	switch {
	case q.endTs <= 0:
		return errors.New("endTs <= 0")
	case q.limit <= 0:
		return errors.New("limit <= 0")
	case q.lookback <= 0:
		return errors.New("lookback <= 0")
	case q.minDur == nil && q.maxDur != nil:
		return errors.New("maxDuration is only valid with minDuration")
	case q.minDur == nil:
	case *q.minDur <= 0:
		return errors.New("minDuration <= 0")
	case q.maxDur != nil && *q.maxDur < *q.minDur:
		return errors.New("maxDuration < minDuration")
	}
	return nil
}

// span of time in µs; far ends are cut so that nothing overflows.
func (q *query) window() (from, to int64) {
	const far = math.MaxInt64 / 1000
	to = min(q.endTs, far)
	from = to - min(q.lookback, far)
	if q.lookback > far {
		from = -far
	}
	return from * 1000, to * 1000
}

// matcher is a query prepared for testing many traces.
type matcher struct {
	service, remote, span *symbol
	conditions            []condition
	minDur, maxDur        int64
	from, to              int64
}

// condition is a tagQuery with what its match looks like in a span's JSON. The
// needle says fast that most spans do not match; the rest is read.
type condition struct {
	tagQuery
	needle []byte
}

// matcher resolves names; ok is false if no stored span can match. The caller
// holds the lock.
func (s *Store) matcher(q *query) (m matcher, ok bool) {
	ok = true
	resolve := func(name string) *symbol {
		if name == "" {
			return nil
		}
		found := s.names.symbols[name]
		ok = ok && found != nil
		return found
	}
	m.service, m.remote, m.span = resolve(q.service), resolve(q.remote), resolve(q.span)
	m.from, m.to = q.window()
	m.maxDur = math.MaxInt64
	if q.minDur != nil {
		m.minDur = *q.minDur
	}
	if q.maxDur != nil {
		m.maxDur = *q.maxDur
	}
	for _, t := range q.tags {
		c := condition{tagQuery: t, needle: appendQuoted(nil, []byte(t.key))}
		if t.value != "" {
			c.needle = appendTag(nil, []byte(t.key), []byte(t.value))
		}
		m.conditions = append(m.conditions, c)
	}
	return m, ok
}

// start is the time of a trace: of its root, or else of its earliest span.
func start(records []record) int64 {
	var first int64
	for i := range records {
		switch r := &records[i]; {
		case r.ts == 0:
		case r.parent == 0:
			return r.ts
		case first == 0 || r.ts < first:
			first = r.ts
		}
	}
	return first
}

// test reports whether a trace matches. Different spans of the service may
// meet different conditions.
func (m *matcher) test(records []record) bool {
	if at := start(records); at == 0 || at < m.from || at > m.to {
		return false
	}
	service, remote, name := m.service == nil, m.remote == nil, m.span == nil
	duration := m.minDur == 0
	var open [maxTagQueries]bool // conditions that are not met yet
	left := len(m.conditions)
	for i := range m.conditions {
		open[i] = true
	}
	for i := range records {
		r := &records[i]
		if m.service != nil && r.local.service() != m.service {
			continue
		}
		service = true
		remote = remote || r.remote.service() == m.remote
		name = name || r.name == m.span
		duration = duration || r.dur >= m.minDur && r.dur <= m.maxDur
		for j := 0; left > 0 && j < len(m.conditions); j++ {
			if open[j] && m.conditions[j].met(r.raw) {
				open[j] = false
				left--
			}
		}
	}
	return service && remote && name && duration && left == 0
}

// met reads a stored span's tags and annotations.
func (c *condition) met(raw []byte) bool {
	if !bytes.Contains(raw, c.needle) {
		return false
	}
	var s span
	var r reader
	r.reset(raw)
	if err := r.span(&s); err != nil {
		return false // cannot be: it was written by us
	}
	for _, t := range s.tags {
		if string(t.key) == c.key && (c.value == "" || string(t.value) == c.value) {
			return true
		}
	}
	return c.value == "" && slices.ContainsFunc(s.notes, func(n note) bool { return string(n.value) == c.key })
}
