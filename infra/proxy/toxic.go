package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Toxic is one misbehaviour of a line, in Toxiproxy's words:
//
//	latency     latency, jitter ms      every byte arrives that much later
//	bandwidth   rate KB/s               bytes pass that fast
//	slow_close  delay ms                the end of a connection is passed on that much later
//	timeout     timeout ms              nothing passes; closed after the time, with 0 when the toxic goes
//	reset_peer  timeout ms              the connection is reset after the time, at once with 0
//	slicer      average_size, size_variation bytes, delay µs    bytes pass in small pieces
//	limit_data  bytes                   closed after so many bytes
//
// It works on open connections as on new ones.
type Toxic struct {
	Name       string         `json:"name"`       // type_stream if empty
	Type       string         `json:"type"`       // see above
	Stream     string         `json:"stream"`     // downstream, to the client (also ""), or upstream
	Toxicity   *float64       `json:"toxicity"`   // share of the connections that have it; all if nil
	Attributes map[string]int `json:"attributes"` // missing ones are 0
	// From is an addition to Toxiproxy: the IP addresses of the clients whose
	// connections have it; all if empty.
	From []string `json:"from,omitempty"`

	from []netip.Addr
}

// The two streams of a connection.
const (
	Upstream   = "upstream"   // from the client to the server
	Downstream = "downstream" // from the server to the client
)

// attributes are those of each type.
var attributes = map[string][]string{
	"latency":    {"latency", "jitter"},
	"bandwidth":  {"rate"},
	"slow_close": {"delay"},
	"timeout":    {"timeout"},
	"reset_peer": {"timeout"},
	"slicer":     {"average_size", "size_variation", "delay"},
	"limit_data": {"bytes"},
}

// prepare fills in what is left out and refuses what makes no sense.
func (t *Toxic) prepare() error {
	known, ok := attributes[t.Type]
	if !ok {
		return fmt.Errorf("there is no toxic %q: use latency, bandwidth, slow_close, timeout, reset_peer, slicer or limit_data", t.Type)
	}
	if t.Stream == "" {
		t.Stream = Downstream
	}
	if t.Stream != Downstream && t.Stream != Upstream {
		return fmt.Errorf("the stream is upstream or downstream, not %q", t.Stream)
	}
	if t.Name == "" {
		t.Name = t.Type + "_" + t.Stream
	}
	if strings.Contains(t.Name, "/") {
		return fmt.Errorf("the name %q has a /", t.Name)
	}
	if t.Toxicity == nil {
		all := 1.0
		t.Toxicity = &all
	}
	if !(*t.Toxicity >= 0 && *t.Toxicity <= 1) {
		return fmt.Errorf("the toxicity is 0 to 1, not %v", *t.Toxicity)
	}
	for name, value := range t.Attributes {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s has no attribute %q, only %s", t.Type, name, strings.Join(known, ", "))
		}
		if value < 0 {
			return fmt.Errorf("%s is not negative", name)
		}
	}
	t.from = nil
	for _, text := range t.From {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("from: %w", err)
		}
		t.from = append(t.from, addr)
	}
	return nil
}

func (t *Toxic) millis(attribute string) time.Duration {
	return time.Duration(t.Attributes[attribute]) * time.Millisecond
}

// concerns says whether a connection of client has the toxic; lot is the
// connection's own draw, from 0 to 1.
func (t *Toxic) concerns(client netip.Addr, lot float64) bool {
	return lot < *t.Toxicity && (len(t.from) == 0 || slices.Contains(t.from, client))
}

// delay draws how much later a byte arrives.
func (t *Toxic) delay() time.Duration {
	d := t.millis("latency")
	if j := t.millis("jitter"); j > 0 {
		d += rand.N(2*j+1) - j
	}
	return max(d, 0)
}

// slice draws the size of the next piece.
func (t *Toxic) slice() int {
	size := t.Attributes["average_size"]
	if v := t.Attributes["size_variation"]; v > 0 {
		size += rand.IntN(2*v+1) - v
	}
	return max(size, 1)
}

// toxics are those of a line at one moment; never changed, replaced.
type toxics struct {
	list    []*Toxic
	changed chan struct{} // closed when they have been replaced
}

func (t *toxics) index(name string) int {
	return slices.IndexFunc(t.list, func(x *Toxic) bool { return x.Name == name })
}
