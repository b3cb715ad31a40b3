package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

// index is the evidence by what it is about.
type index struct {
	Evidence
	orders   map[string]*order // by id
	ids      []string          // of orders, in the order of their first events
	idsOf    map[string][]string
	payments map[string][]Payment // by order
	parcels  map[string][]Shipment
	charges  map[string]*charges
	shards   map[string][]Event[StockEvent]
	changes  map[string][]change         // by SKU
	holds    map[string]map[string]*hold // by order, by SKU
	ops      map[string][]op             // by idempotency key, in the order of their calls
}

// order is one order's events.
type order struct {
	Order  // the last event
	events []Event[Order]
	judged bool // placed before the cut
}

func (o *order) subject() subject { return about(o.ID, o.Key).traced(o.TraceID) }

// charges are the provider's entries for one order.
type charges struct {
	authorisations, captures, voids []provider.Entry // without the declined ones
}

// change is what one event says about one SKU.
type change struct {
	decided, stored time.Time
	ops             []StockOp
	after           Shelf
}

// hold is what one SKU's ledger says of one order.
type hold struct {
	reserved, committed, released int // events that moved units
	quantity                      int // units reserved
	shipped                       int // units committed
	open                          int // units still held
}

// op is an operation with the history it is from.
type op struct {
	load.Operation
	history int
}

func newIndex(e Evidence) *index {
	x := &index{
		Evidence: e,
		orders:   map[string]*order{}, idsOf: map[string][]string{},
		payments: map[string][]Payment{}, parcels: map[string][]Shipment{}, charges: map[string]*charges{},
		shards: map[string][]Event[StockEvent]{}, changes: map[string][]change{}, holds: map[string]map[string]*hold{},
		ops: map[string][]op{},
	}
	for _, ev := range e.Orders {
		x.addOrder(ev)
	}
	for _, ev := range e.Payments {
		x.payments[ev.Key] = append(x.payments[ev.Key], ev.Value)
	}
	for _, ev := range e.Shipments {
		x.parcels[ev.Key] = append(x.parcels[ev.Key], ev.Value)
	}
	for _, entry := range e.Provider {
		x.addEntry(entry)
	}
	for _, ev := range e.Stock {
		x.shards[ev.Key] = append(x.shards[ev.Key], ev)
		x.addChanges(ev)
	}
	x.addOperations()
	return x
}

func (x *index) addOrder(ev Event[Order]) {
	o := x.orders[ev.Key]
	if o == nil {
		o = &order{judged: ev.Seq <= x.Cut}
		x.orders[ev.Key] = o
		x.ids = append(x.ids, ev.Key)
		x.idsOf[ev.Value.Key] = append(x.idsOf[ev.Value.Key], ev.Key)
	}
	o.Order = ev.Value
	o.events = append(o.events, ev)
}

// orderOf is the order that a key of the provider belongs to: "<order>/capture".
func orderOf(key string) string {
	id, _, _ := strings.Cut(key, "/")
	return id
}

func (x *index) addEntry(e provider.Entry) {
	id := orderOf(e.Key)
	c := x.charges[id]
	if c == nil {
		c = &charges{}
		x.charges[id] = c
	}
	switch {
	case e.Declined:
	case e.Op == provider.OpAuthorise:
		c.authorisations = append(c.authorisations, e)
	case e.Op == provider.OpCapture:
		c.captures = append(c.captures, e)
	case e.Op == provider.OpVoid:
		c.voids = append(c.voids, e)
	}
}

// addChanges sorts what an event says by SKU, and by whom it is about.
func (x *index) addChanges(ev Event[StockEvent]) {
	ops := map[string][]StockOp{}
	for _, o := range ev.Value.Ops {
		ops[o.SKU] = append(ops[o.SKU], o)
		x.addHold(o)
	}
	for sku, shelf := range ev.Value.Shelves {
		x.changes[sku] = append(x.changes[sku], change{decided: ev.Value.At, stored: ev.At, ops: ops[sku], after: shelf})
	}
}

func (x *index) addHold(o StockOp) {
	bySKU := x.holds[o.Key]
	if bySKU == nil {
		bySKU = map[string]*hold{}
		x.holds[o.Key] = bySKU
	}
	h := bySKU[o.SKU]
	if h == nil {
		h = &hold{}
		bySKU[o.SKU] = h
	}
	switch {
	case o.Quantity == 0: // the tombstone of a hold that never was
	case o.Kind == "reserved":
		h.reserved++
		h.quantity += o.Quantity
		h.open += o.Quantity
	case o.Kind == "committed":
		h.committed++
		h.shipped += o.Quantity
		h.open -= o.Quantity
	case o.Kind == "released":
		h.released++
		h.open -= o.Quantity
	}
}

// addOperations sorts what customers did by idempotency key; reads of an order
// belong to the key that placed it.
func (x *index) addOperations() {
	placedAs := map[string]string{}
	for _, o := range x.orders {
		placedAs[o.ID] = o.Key
	}
	for _, h := range x.Histories {
		for _, o := range h.Ops {
			if o.IdemKey != "" && o.OrderID != "" {
				placedAs[o.OrderID] = o.IdemKey
			}
		}
	}
	for i, h := range x.Histories {
		for _, o := range h.Ops {
			key := cmp.Or(o.IdemKey, placedAs[o.OrderID])
			if key != "" {
				x.ops[key] = append(x.ops[key], op{o, i})
			}
		}
	}
	for _, ops := range x.ops {
		slices.SortStableFunc(ops, func(a, b op) int { return cmp.Compare(a.Call, b.Call) })
	}
}

// keys are the idempotency keys of the histories, sorted.
func (x *index) keys() []string { return slices.Sorted(maps.Keys(x.ops)) }

// judgedOrders calls f with each order that is judged, in the order of placing.
func (x *index) judgedOrders(f func(*order)) {
	for _, id := range x.ids {
		if o := x.orders[id]; o.judged {
			f(o)
		}
	}
}

// sameLines compares lines in any order.
func sameLines(a, b []Line) bool { return slices.Equal(sorted(a), sorted(b)) }

func sorted(lines []Line) []Line {
	return slices.SortedFunc(slices.Values(lines), func(x, y Line) int { return cmp.Compare(x.SKU, y.SKU) })
}

// body stands for the lines of a request, in whatever order they came.
func body(lines []Line) string { return text(sorted(lines)) }

// text writes lines as "2 × tea, 1 × cup".
func text(lines []Line) string {
	parts := make([]string, len(lines))
	for i, l := range lines {
		parts[i] = fmt.Sprintf("%d × %s", l.Quantity, l.SKU)
	}
	return strings.Join(parts, ", ")
}
