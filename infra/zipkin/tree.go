package zipkin

// tree arranges the spans of a trace by who called whom. Its memory is used
// again for the next trace.
type tree struct {
	root    *node // of the trace; its span is nil if no span is the root
	spans   []linkSpan
	nodes   []node
	byKey   map[nodeKey]*node
	parents map[nodeKey]nodeKey // of every span but the root; none has the zero id
	order   []nodeKey
	queue   []*node
}

type node struct {
	span     *linkSpan
	children []*node
	caller   *node // the nearest ancestor that is no local work
}

// nodeKey tells spans apart: by id, and servers that share their client's id
// by where they are as well, in case several answered the one client.
type nodeKey struct {
	id     uint64
	shared bool
	at     hostKey
}

func (t *tree) build(records []record) {
	t.spans = mergeSpans(records, t.spans[:0])
	t.nodes = append(t.nodes[:0], make([]node, len(t.spans)+1)...)
	if t.byKey == nil || len(t.byKey) > 10_000 { // clear costs what was once there
		t.byKey, t.parents = map[nodeKey]*node{}, map[nodeKey]nodeKey{}
	}
	clear(t.byKey)
	clear(t.parents)
	t.order = t.order[:0]
	t.root = nil
	for i := range t.spans {
		t.index(&t.spans[i])
	}
	for i := range t.spans {
		t.process(&t.spans[i], &t.nodes[i])
	}
	if t.root == nil {
		t.root = &t.nodes[len(t.spans)]
	}
	for _, key := range t.order {
		up, ok := t.parents[key]
		child := t.byKey[key]
		if !ok || child == nil {
			continue
		}
		delete(t.parents, key)
		parent := t.byKey[up]
		if parent == nil {
			parent = t.root // spans without their parent hang below the root
		}
		if parent != child {
			parent.children = append(parent.children, child)
		}
	}
}

// index notes which span is below which, as far as one span tells.
func (t *tree) index(s *linkSpan) {
	key, up := nodeKey{id: s.id}, nodeKey{id: s.parent}
	if s.shared {
		key, up = nodeKey{id: s.id, shared: true, at: s.local}, nodeKey{id: s.id}
	}
	t.setParent(key, up)
}

func (t *tree) setParent(key, up nodeKey) {
	if _, known := t.parents[key]; !known {
		t.order = append(t.order, key)
	}
	t.parents[key] = up
}

// process gives a span its node, now that all others are known.
func (t *tree) process(s *linkSpan, n *node) {
	n.span = s
	somewhere := nodeKey{id: s.id, shared: s.shared}
	switch {
	case s.shared:
		t.byKey[nodeKey{id: s.id, shared: true, at: s.local}] = n
		t.byKey[somewhere] = n
		return
	case s.parent != 0:
		// Below the server at the same place that shares the parent's id, if
		// there is one.
		up := nodeKey{id: s.parent, shared: true, at: s.local}
		if _, known := t.parents[up]; known {
			t.setParent(somewhere, up)
		}
	case t.root == nil:
		t.root = n
		delete(t.parents, somewhere)
		return
	}
	t.byKey[somewhere] = n
}

// breadthFirst lists the nodes below the root, it included, and tells each who
// its caller is.
func (t *tree) breadthFirst() []*node {
	t.queue = t.queue[:0]
	if t.root.span == nil {
		t.queue = append(t.queue, t.root.children...)
	} else {
		t.queue = append(t.queue, t.root)
	}
	for i := 0; i < len(t.queue) && len(t.queue) <= len(t.nodes); i++ {
		n := t.queue[i]
		for _, child := range n.children {
			if child.caller = n.caller; n.span.kind != kindNone {
				child.caller = n
			}
			t.queue = append(t.queue, child)
		}
	}
	return t.queue
}
