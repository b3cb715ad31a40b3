package zipkin

import (
	"maps"
	"slices"
)

// symbol is a text that many spans share. It exists once while a stored span
// uses it, so that equal texts are equal pointers.
type symbol struct {
	text string
	refs int // spans that use it; guarded by the store
}

// host is an endpoint that many spans share, under the same rules.
type host struct {
	key  hostKey
	refs int
}

type hostKey struct {
	service    *symbol // nil: unknown
	ipv4, ipv6 string
	port       uint16
}

// service returns the name of the service at the host, nil if unknown.
func (h *host) service() *symbol {
	if h == nil {
		return nil
	}
	return h.key.service
}

// service is what the store knows of one service from its spans.
type service struct {
	spans   int
	names   map[*symbol]int // of spans, with how many carry each
	remotes map[*symbol]int // other services, with how many spans name each
}

// names holds everything that spans share, and nothing longer than the spans.
type names struct {
	symbols  map[string]*symbol
	hosts    map[hostKey]*host
	services map[*symbol]*service
	bytes    int64 // estimate of the memory taken
}

// What one entry takes besides its text: map slot, struct and pointers.
const (
	symbolCost  = 120
	hostCost    = 200
	serviceCost = 200
)

func newNames() names {
	return names{symbols: map[string]*symbol{}, hosts: map[hostKey]*host{}, services: map[*symbol]*service{}}
}

// symbol counts one more use of text; nil for no text.
func (n *names) symbol(text []byte) *symbol {
	if len(text) == 0 {
		return nil
	}
	s := n.symbols[string(text)]
	if s == nil {
		s = &symbol{text: string(text)}
		n.symbols[s.text] = s
		n.bytes += symbolCost + int64(len(text))
	}
	s.refs++
	return s
}

func (n *names) dropSymbol(s *symbol) {
	if s == nil {
		return
	}
	if s.refs--; s.refs == 0 {
		delete(n.symbols, s.text)
		n.bytes -= symbolCost + int64(len(s.text))
	}
}

// host counts one more use of an endpoint; nil for an unknown one.
func (n *names) host(e *endpoint) *host {
	if !e.known() {
		return nil
	}
	key := hostKey{service: n.symbol(e.service), ipv4: e.ipv4, ipv6: e.ipv6, port: e.port}
	h := n.hosts[key]
	if h == nil {
		h = &host{key: key}
		n.hosts[key] = h
		n.bytes += hostCost
	}
	h.refs++
	return h
}

func (n *names) dropHost(h *host) {
	if h == nil {
		return
	}
	n.dropSymbol(h.key.service)
	if h.refs--; h.refs == 0 {
		delete(n.hosts, h.key)
		n.bytes -= hostCost
	}
}

// add lists what one stored span says of its service.
func (n *names) add(r *record) {
	owner := r.local.service()
	if owner == nil {
		return
	}
	s := n.services[owner]
	if s == nil {
		s = &service{names: map[*symbol]int{}, remotes: map[*symbol]int{}}
		n.services[owner] = s
		n.bytes += serviceCost
	}
	s.spans++
	n.count(s.names, r.name, 1)
	n.count(s.remotes, r.remote.service(), 1)
}

// remove undoes add and releases what the span shared.
func (n *names) remove(r *record) {
	if owner := r.local.service(); owner != nil {
		s := n.services[owner]
		n.count(s.names, r.name, -1)
		n.count(s.remotes, r.remote.service(), -1)
		if s.spans--; s.spans == 0 {
			delete(n.services, owner)
			n.bytes -= serviceCost
		}
	}
	n.dropSymbol(r.name)
	n.dropHost(r.local)
	n.dropHost(r.remote)
}

// count changes how many spans carry a name and forgets it at 0.
func (n *names) count(in map[*symbol]int, name *symbol, by int) {
	if name == nil {
		return
	}
	before := in[name]
	in[name] = before + by
	switch {
	case before == 0:
		n.bytes += symbolCost
	case before+by == 0:
		delete(in, name)
		n.bytes -= symbolCost
	}
}

// sorted returns the texts of a set of symbols in order; never nil.
func sorted[V any](set map[*symbol]V) []string {
	texts := make([]string, 0, len(set))
	for s := range maps.Keys(set) {
		texts = append(texts, s.text)
	}
	slices.Sort(texts)
	return texts
}
