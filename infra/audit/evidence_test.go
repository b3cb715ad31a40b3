package audit

import (
	"cmp"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

// clock makes the times of evidence written by hand: n seconds into it.
func clock(n float64) time.Time { return time.Unix(1_000_000, int64(n*1e9)) }

var (
	tea  = []Line{{SKU: "tea", Quantity: 2}}
	cups = []Line{{SKU: "cup", Quantity: 1}, {SKU: "tea", Quantity: 1}}
)

// evidence is a shop's short life in which everything is right: order-a was
// confirmed, order-b was declined and undone, order-c was asked for and refused.
func evidence() *Evidence {
	e := &Evidence{Start: map[string]int{"tea": 10, "cup": 5}, Cut: 1000}
	e.order("a", tea, placed, reserved, authorised, dispatched, captured, confirmed)
	e.order("b", cups, placed, reserved, cancelling, cancelled)
	e.shard(StockEvent{Claim: &StockClaim{Owner: owner}})
	e.stock("tea", "reserved", "a", 2, Shelf{Available: 8, Reserved: 2})
	e.stock("tea", "committed", "a", 2, Shelf{Available: 8, Shipped: 2})
	e.stock("cup", "reserved", "b", 1, Shelf{Available: 4, Reserved: 1})
	e.stock("tea", "reserved", "b", 1, Shelf{Available: 7, Reserved: 1, Shipped: 2})
	e.stock("cup", "released", "b", 1, Shelf{Available: 5})
	e.stock("tea", "released", "b", 1, Shelf{Available: 8, Shipped: 2})
	e.payment("a", "authorising", "authorised", "captured")
	e.payment("b", "authorising", "declined")
	e.Provider = []provider.Entry{
		{Op: provider.OpAuthorise, Key: "order-a/authorise", Reference: "ref-a", Amount: 500, Currency: "EUR"},
		{Op: provider.OpCapture, Key: "order-a/capture", Reference: "ref-a", Amount: 500, Currency: "EUR"},
		{Op: provider.OpAuthorise, Key: "order-b/authorise", Reference: "ref-b", Amount: 500, Currency: "EUR", Declined: true},
	}
	e.parcel("a", tea, "booked", "shipped")
	e.Histories = []load.History{{Whole: true, Ops: []load.Operation{
		{Op: "product", SKU: "tea", Available: new(10), Call: at(0), Return: at(0.1), Outcome: load.OK},
		place("a", tea, 1, 5, load.OK, 201, confirmed),
		place("b", cups, 2, 6, load.Fail, 402, ""),
		place("c", tea, 2, 2.1, load.Fail, 400, ""),
		place("a", cups, 7, 8, load.Fail, 422, ""),
		place("a", tea, 7, 8, load.OK, 201, confirmed),
		get("a", tea, 9, 10, 200, confirmed),
		{Op: "product", SKU: "tea", Available: new(8), Call: at(9), Return: at(10), Outcome: load.OK},
	}}}
	return e
}

func at(n float64) int64 { return clock(n).UnixNano() }

func (e *Evidence) order(name string, lines []Line, statuses ...string) {
	for i, status := range statuses {
		n := uint64(len(e.Orders) + 1)
		e.Orders = append(e.Orders, Event[Order]{Seq: n, Key: "order-" + name, At: clock(float64(n)), Value: Order{
			ID: "order-" + name, Status: status, Lines: lines, Total: Money{500, "EUR"}, TraceID: "trace-" + name,
			Key: "run-" + name, Revision: i + 1,
		}})
	}
}

func (e *Evidence) payment(name string, statuses ...string) {
	for _, status := range statuses {
		e.Payments = append(e.Payments, Event[Payment]{Seq: uint64(len(e.Payments) + 1), Key: "order-" + name,
			Value: Payment{OrderID: "order-" + name, Status: status, Amount: Money{500, "EUR"}}})
	}
}

func (e *Evidence) parcel(name string, lines []Line, statuses ...string) {
	for _, status := range statuses {
		e.Shipments = append(e.Shipments, Event[Shipment]{Seq: uint64(len(e.Shipments) + 1), Key: "order-" + name,
			Value: Shipment{OrderID: "order-" + name, Status: status, Lines: lines}})
	}
}

// owner is who owns the only shard of the stock written by hand.
const owner = "inventory-1/x"

// stock adds an event; the shelf gets what never changes.
func (e *Evidence) stock(sku, kind, name string, quantity int, after Shelf) {
	after.Initial = e.Start[sku]
	e.shard(StockEvent{
		Ops:     []StockOp{{Kind: kind, SKU: sku, Key: "order-" + name, Quantity: quantity}},
		Shelves: map[string]Shelf{sku: after},
	})
}

// shard adds an event of the owner.
func (e *Evidence) shard(ev StockEvent) {
	n := len(e.Stock) + 1
	ev.By, ev.At = cmp.Or(ev.By, owner), clock(float64(n)-0.5)
	e.Stock = append(e.Stock, Event[StockEvent]{Seq: uint64(n), Key: "shard", At: clock(float64(n)), Value: ev})
}

// checkpoint adds a true list and a true checkpoint, as events 8 and 9.
func (e *Evidence) checkpoint() {
	e.shard(StockEvent{Settled: &StockSettled{
		Committed: map[string][]string{"tea": {"order-a"}},
		Released:  map[string]map[string]string{"tea": {"order-b": ""}, "cup": {"order-b": ""}},
	}})
	e.shard(StockEvent{Checkpoint: &StockCheckpoint{Owner: owner, Epoch: 1, Settled: 8, Shelves: map[string]Shelf{
		"tea": {Initial: 10, Available: 8, Shipped: 2}, "cup": {Initial: 5, Available: 5},
	}}})
}

// shelf changes the level that an event wrote.
func (e *Evidence) shelf(event int, sku string, change func(*Shelf)) {
	s := e.Stock[event].Value.Shelves[sku]
	change(&s)
	e.Stock[event].Value.Shelves[sku] = s
}

func place(name string, lines []Line, call, back float64, outcome load.Outcome, status int, order string) load.Operation {
	o := load.Operation{Op: "place", IdemKey: "run-" + name, Lines: lines, Call: at(call), Return: at(back),
		Outcome: outcome, Status: status, OrderStatus: order, TraceID: "trace-" + name}
	if outcome == load.OK {
		o.OrderID, o.Amount = "order-"+name, 500
	}
	return o
}

func get(name string, lines []Line, call, back float64, status int, order string) load.Operation {
	o := load.Operation{Op: "get", OrderID: "order-" + name, Call: at(call), Return: at(back), Status: status, TraceID: "trace-" + name}
	if o.Outcome = load.Fail; status == 200 {
		o.Outcome, o.OrderStatus, o.Answer, o.Amount = load.OK, order, lines, 500
	}
	return o
}

// history is the only one.
func (e *Evidence) history() *load.History { return &e.Histories[0] }

func (e *Evidence) asked(ops ...load.Operation) { e.history().Ops = append(e.history().Ops, ops...) }

// found are the names of the checks that found something, in their order.
func found(r Report) (names []string) {
	for _, c := range r.Checks {
		if len(c.Violations) > 0 {
			names = append(names, c.Name)
		}
	}
	return names
}
