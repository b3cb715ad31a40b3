package zipkin

import (
	"cmp"
	"slices"
)

// link is an edge of the dependency graph.
type link struct {
	parent, child string
	calls, errors int64
}

type pair struct{ parent, child *symbol }

// linker derives which service calls which from trees of spans. The rules are
// Zipkin's: the server's word counts more than the client's, who is asked only
// about servers that reported nothing.
type linker struct {
	edges map[pair]*link
	order []*link
	tree  tree
}

func (l *linker) links() []link {
	list := make([]link, 0, len(l.order))
	for _, e := range l.order {
		list = append(list, *e)
	}
	return list
}

func (l *linker) add(parent, child *symbol, failed bool) {
	if l.edges == nil {
		l.edges = map[pair]*link{}
	}
	e := l.edges[pair{parent, child}]
	if e == nil {
		e = &link{parent: parent.text, child: child.text}
		l.edges[pair{parent, child}] = e
		l.order = append(l.order, e)
	}
	e.calls++
	if failed {
		e.errors++
	}
}

// put adds the calls of one trace.
func (l *linker) put(records []record) {
	l.tree.build(records)
	for _, n := range l.tree.breadthFirst() {
		l.visit(n)
	}
}

func (l *linker) visit(n *node) {
	s := n.span
	if s.kind == kindClient && len(n.children) > 0 {
		return // the server below says it
	}
	service, remote := s.local.service, s.remote
	k := s.kind
	if k == kindNone {
		if service == nil || remote == nil {
			return // work inside one service
		}
		k = kindClient
	}
	parent, child := service, remote
	if k == kindServer || k == kindConsumer {
		parent, child = remote, service
		if n == l.tree.root && parent == nil {
			return // the caller is not known
		}
	}
	failed := s.failed
	if k == kindProducer || k == kindConsumer {
		if parent != nil && child != nil {
			l.add(parent, child, failed)
		}
		return
	}
	if up := n.caller; up != nil && up.span.local.service != nil {
		name := up.span.local.service
		if k == kindClient && service != nil && name != service {
			l.add(name, service, false) // a hop nobody reported
		}
		if k == kindServer || parent == nil {
			parent = name
		}
		if !failed && up.span.kind == kindClient && s.parent != 0 && s.parent == up.span.id {
			failed = up.span.failed
		}
	}
	if parent != nil && child != nil {
		l.add(parent, child, failed)
	}
}

// linkSpan is a span as the linker sees it: what was reported in several
// pieces is one.
type linkSpan struct {
	id, parent     uint64
	kind           kind
	shared, failed bool
	local          hostKey
	remote         *symbol
}

// order is Zipkin's: by id, the client before the server that shares its id,
// then by endpoint.
func (s *linkSpan) order(t *linkSpan) int {
	if by := cmp.Compare(s.id, t.id); by != 0 {
		return by
	}
	if by := rank(s) - rank(t); by != 0 {
		return by
	}
	return s.compareHost(t)
}

func rank(s *linkSpan) int {
	switch {
	case s.shared:
		return 2
	case s.kind == kindClient:
		return 0
	}
	return 1
}

func (s *linkSpan) compareHost(t *linkSpan) int {
	var none hostKey
	switch {
	case s.local == t.local:
		return 0
	case s.local == none:
		return -1
	case t.local == none:
		return 1
	}
	return cmp.Or(compareNames(s.local.service, t.local.service),
		compareKnown(s.local.ipv4, t.local.ipv4), compareKnown(s.local.ipv6, t.local.ipv6))
}

func compareNames(a, b *symbol) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(a.text, b.text)
}

// compareKnown puts unknown texts last.
func compareKnown(a, b string) int {
	if (a == "") != (b == "") {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// mergeSpans cleans a trace up: pieces of a span become one, and a server that
// shares its client's id says so.
func mergeSpans(records []record, out []linkSpan) []linkSpan {
	for i := range records {
		r := &records[i]
		s := linkSpan{id: r.id, parent: r.parent, kind: r.kind, shared: r.shared, failed: r.failed, remote: r.remote.service()}
		if r.local != nil {
			s.local = r.local.key
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b linkSpan) int { return a.order(&b) })
	kept := out[:0]
	for i := 0; i < len(out); {
		s := out[i]
		shared := s.shared
		for i++; i < len(out) && out[i].id == s.id && out[i].shared == shared && s.local.fits(out[i].local); i++ {
			s.merge(&out[i])
		}
		if s.parent == s.id {
			s.parent = 0
		}
		if n := len(kept); n > 0 && kept[n-1].id == s.id {
			last := &kept[n-1]
			if last.kind == kindClient && s.kind == kindServer {
				shared, s.shared = true, true
			}
			if shared && s.parent == 0 {
				s.parent = last.parent
			}
		}
		if s.kind == kindClient {
			s.shared = false
		}
		kept = append(kept, s)
	}
	return kept
}

// fits reports whether h and o can be the same endpoint, known in parts.
func (h hostKey) fits(o hostKey) bool {
	return (h.service == nil || o.service == nil || h.service == o.service) &&
		(h.ipv4 == "" || o.ipv4 == "" || h.ipv4 == o.ipv4) &&
		(h.ipv6 == "" || o.ipv6 == "" || h.ipv6 == o.ipv6) &&
		(h.port == 0 || o.port == 0 || h.port == o.port)
}

func (s *linkSpan) merge(o *linkSpan) {
	s.parent = cmp.Or(s.parent, o.parent)
	s.kind = cmp.Or(s.kind, o.kind)
	s.shared = s.shared || o.shared
	s.failed = s.failed || o.failed
	s.remote = cmp.Or(s.remote, o.remote)
	s.local = hostKey{
		service: cmp.Or(s.local.service, o.local.service),
		ipv4:    cmp.Or(s.local.ipv4, o.local.ipv4),
		ipv6:    cmp.Or(s.local.ipv6, o.local.ipv6),
		port:    cmp.Or(s.local.port, o.local.port),
	}
}
