// Package traceview reads traces from a Zipkin and writes one as a tree of
// calls for people.
package traceview

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Span is a span as Zipkin's v2 API answers it, as far as a tree shows it.
type Span struct {
	TraceID   string            `json:"traceId"`
	ID        string            `json:"id"`
	ParentID  string            `json:"parentId"`
	Kind      string            `json:"kind"`
	Name      string            `json:"name"`
	Timestamp int64             `json:"timestamp"` // µs; 0: unknown
	Duration  int64             `json:"duration"`  // µs
	Local     Endpoint          `json:"localEndpoint"`
	Remote    Endpoint          `json:"remoteEndpoint"`
	Tags      map[string]string `json:"tags"`
	Shared    bool              `json:"shared"`
}

// Endpoint is one side of a span.
type Endpoint struct {
	Service string `json:"serviceName"`
}

func (s *Span) failed() bool {
	_, ok := s.Tags["error"]
	return ok
}

// Call is one row of a tree: what the client and the server reported of it.
type Call struct {
	Service  string // that was called, or that worked
	Name     string
	Start    int64 // µs; 0: unknown
	Duration time.Duration
	Failed   bool
	Error    string // of the error tag; may be empty though Failed
	Try      string
	Instance string
	Breaker  string
	Kind     string

	Children []*Call

	id, parent string
	sides      []*Span
}

// Summary is what one line can say of a trace.
type Summary struct {
	ID       string
	Service  string // of the root
	Name     string
	Start    time.Time
	Duration time.Duration // from the first span's start to the last one's end
	Spans    int
	Services int
	Errors   int // calls that failed
	Retries  int // tries after the first
	Complete bool
}

// reportDelay is how long after its end a trace may still grow: reporters send
// about once a second.
const reportDelay = 1500 * time.Millisecond

// Settled reports whether all spans of the trace are likely to be there.
func (s Summary) Settled(now time.Time) bool {
	return s.Complete && now.Sub(s.Start.Add(s.Duration)) >= reportDelay
}

// Calls arranges the spans of one trace as trees, in the order of their start.
// There is one root unless spans are missing.
func Calls(spans []Span) []*Call {
	byID := map[string]*Call{}
	for i := range spans {
		c := byID[spans[i].ID]
		if c == nil {
			c = &Call{id: spans[i].ID}
			byID[c.id] = c
		}
		c.sides = append(c.sides, &spans[i])
	}
	for _, c := range byID {
		c.describe()
	}
	cutCircles(byID)
	var roots []*Call
	for _, c := range byID {
		if p := byID[c.parent]; p != nil {
			p.Children = append(p.Children, c)
		} else {
			roots = append(roots, c)
		}
	}
	inOrder := func(a, b *Call) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.id, b.id)) }
	for _, c := range byID {
		slices.SortFunc(c.Children, inOrder)
	}
	slices.SortFunc(roots, inOrder)
	return roots
}

// cutCircles makes a root of one call of each circle: broken input has some.
func cutCircles(byID map[string]*Call) {
	ids := slices.Sorted(maps.Keys(byID)) // so that the cut is the same every time
	seen := make(map[*Call]string, len(byID))
	for _, id := range ids {
		for c := byID[id]; c != nil && seen[c] == ""; c = byID[c.parent] {
			seen[c] = id
			if p := byID[c.parent]; p != nil && seen[p] == id {
				c.parent = ""
			}
		}
	}
}

// describe fills a call from its sides, the client's word first.
func (c *Call) describe() {
	slices.SortStableFunc(c.sides, func(a, b *Span) int { return side(a) - side(b) })
	var end int64
	for _, s := range c.sides {
		c.parent = cmp.Or(c.parent, s.ParentID)
		c.Name = cmp.Or(c.Name, s.Name)
		c.Kind = cmp.Or(c.Kind, s.Kind)
		c.Failed = c.Failed || s.failed()
		c.Error = cmp.Or(c.Error, s.Tags["error"])
		c.Try = cmp.Or(c.Try, s.Tags["try"])
		c.Instance = cmp.Or(c.Instance, s.Tags["instance"])
		c.Breaker = cmp.Or(c.Breaker, s.Tags["breaker"])
		if s.Timestamp > 0 && (c.Start == 0 || s.Timestamp < c.Start) {
			c.Start = s.Timestamp
		}
		end = max(end, s.Timestamp+s.Duration)
	}
	if c.Start > 0 {
		c.Duration = time.Duration(end-c.Start) * time.Microsecond
	}
	first, last := c.sides[0], c.sides[len(c.sides)-1]
	c.Service = cmp.Or(last.Local.Service, first.Remote.Service, "unknown")
	if first == last && side(first) == client {
		c.Service = cmp.Or(first.Remote.Service, first.Local.Service, "unknown")
	}
	c.Name = cmp.Or(c.Name, "unnamed")
}

const (
	client = iota
	alone
	server
)

func side(s *Span) int {
	switch {
	case s.Kind == "CLIENT" || s.Kind == "PRODUCER":
		return client
	case s.Shared:
		return server
	}
	return alone
}

// Summarise says the most important of a trace's spans; there must be one.
func Summarise(spans []Span) Summary {
	s := Summary{ID: spans[0].TraceID, Spans: len(spans)}
	services := map[string]bool{}
	var start, end int64
	for i := range spans {
		if name := spans[i].Local.Service; name != "" {
			services[name] = true
		}
		if ts := spans[i].Timestamp; ts > 0 {
			if start == 0 || ts < start {
				start = ts
			}
			end = max(end, ts+spans[i].Duration)
		}
	}
	if start > 0 {
		s.Start, s.Duration = time.UnixMicro(start), time.Duration(end-start)*time.Microsecond
	}
	s.Services = len(slices.Collect(maps.Keys(services)))
	roots := Calls(spans)
	s.Service, s.Name = roots[0].Service, roots[0].Name
	s.Complete = len(roots) == 1 && roots[0].parent == ""
	each(roots, func(c *Call) {
		if c.Failed {
			s.Errors++
		}
		if c.Try != "" && c.Try != "1" {
			s.Retries++
		}
	})
	return s
}

func each(calls []*Call, visit func(*Call)) {
	for stack := slices.Clone(calls); len(stack) > 0; {
		c := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], c.Children...)
		visit(c)
	}
}
