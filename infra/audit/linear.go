package audit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kitmesh/kitmesh/infra/load"
)

// Bounds of the search for an order of operations, which takes exponential time
// in the worst case and microseconds nearly always.
const (
	searchOne = 5 * time.Second
	searchAll = 30 * time.Second
)

// search asks porcupine (Horn and Kroening's algorithm with P-compositionality)
// about one key after the other.
type search struct {
	f         *finding
	model     porcupine.Model
	until     time.Time
	undecided int
}

func newSearch(f *finding, m porcupine.Model) *search {
	return &search{f: f, model: m, until: time.Now().Add(searchAll)}
}

func (s *search) check(who subject, ops []porcupine.Operation) {
	if len(ops) == 0 {
		return
	}
	limit := min(searchOne, time.Until(s.until))
	result := porcupine.Unknown
	if limit > 0 {
		result = porcupine.CheckOperationsTimeout(s.model, ops, limit)
	}
	if result == porcupine.Unknown {
		s.undecided++
		s.f.Skipped = fmt.Sprintf("%d not decided in time", s.undecided)
		return
	}
	s.f.expect(result == porcupine.Ok, who, "one order of the operations that explains all answers", describe(ops))
}

// describe lists the operations of a violation, as far as one wants to read.
func describe(ops []porcupine.Operation) string {
	const most = 12
	var parts []string
	for _, o := range ops {
		if len(parts) == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(ops)-most))
			break
		}
		parts = append(parts, fmt.Sprint(o.Input, o.Output))
	}
	return "none for: " + strings.Join(parts, "; ")
}

// stockModel is the register of one SKU's levels. An operation is an event of
// the ledger; its output is the level that it wrote.
var stockModel = porcupine.Model{
	Init: func() any { return levels{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(levels), input.(stockInput), output.(levels)
		if !now.begun {
			now = levels{begun: true, available: in.initial}
		}
		switch in.kind {
		case "reserved":
			now.available += in.restock - in.quantity
			now.reserved += in.quantity
		case "committed":
			now.reserved -= in.quantity
			now.shipped += in.quantity
		case "released":
			now.reserved -= in.quantity
			now.available += in.quantity
		}
		return now == out && now.available >= 0 && now.reserved >= 0, now
	},
}

type levels struct {
	begun                        bool
	available, reserved, shipped int
}

func (l levels) String() string {
	return fmt.Sprintf(" → %d available, %d reserved, %d shipped", l.available, l.reserved, l.shipped)
}

type stockInput struct {
	kind                       string
	initial, quantity, restock int
}

func (i stockInput) String() string {
	return fmt.Sprintf("%s %d, %d restocked", i.kind, i.quantity, i.restock)
}

// checkLinearStock lets an event happen at any time between its decision and
// its storage.
func checkLinearStock(x *index, f *finding) {
	s := newSearch(f, stockModel)
	for _, sku := range slices.Sorted(maps.Keys(x.shelves)) {
		var ops []porcupine.Operation
		var clock int64 // of the broker, kept from going back
		for i, ev := range x.shelves[sku] {
			e := ev.Value
			clock = max(clock, ev.At.UnixNano())
			initial := e.Shelf.Initial
			if start, known := x.Start[sku]; known {
				initial = start
			}
			ops = append(ops, porcupine.Operation{
				ClientId: i,
				Input:    stockInput{e.Kind, initial, e.Quantity, e.Restock},
				Output:   levels{true, e.Shelf.Available, e.Shelf.Reserved, e.Shelf.Shipped},
				Call:     min(e.At.UnixNano(), clock), Return: clock,
			})
		}
		s.check(about(sku), ops)
	}
}

// possible is a set of states that an order may be in.
type possible uint8

const (
	isNone possible = 1 << iota
	isPending
	isConfirmed
	isCancelled
	isFailed
)

// statusModel is the register of one order's status. An order ends by itself,
// so an answer may be ahead of the last one but never behind.
var statusModel = porcupine.Model{
	Init: func() any { return isNone },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(possible), load.Operation(input.(told))
		switch {
		case o.Op == "get" && o.Status == http.StatusNotFound:
			now &= isNone
		case o.Op == "get":
			now = now.become(o.OrderStatus, 0)
		case o.Outcome == load.OK:
			now = now.become(o.OrderStatus, isNone)
		case o.Status == http.StatusConflict || o.Status == http.StatusPaymentRequired:
			// Refused before there was an order, or cancelled after.
			now = now&(isNone|isCancelled) | now.become(cancelled, isNone)
		case o.Status == http.StatusUnprocessableEntity:
			now &^= isNone
		case now&isNone != 0: // outcome unknown: from here on there may be an order
			now = now&^isNone | isPending
		}
		return now != 0, now
	},
}

// become keeps what can be, or turn into, the status that a customer was told.
func (p possible) become(status string, besides possible) possible {
	to := map[string]possible{confirmed: isConfirmed, cancelled: isCancelled, failed: isFailed}[status]
	if to == 0 {
		to = isPending
	}
	if p&(to|isPending|besides) == 0 {
		return 0
	}
	return to
}

// told is an operation as the input of a model.
type told load.Operation

func (t told) String() string { return asked(load.Operation(t)) }

// noOutput stands for outputs that are in the input.
type noOutput struct{}

func (noOutput) String() string { return "" }

// checkLinearStatus takes each run for itself: clocks of different machines
// would order what nobody knows the order of.
func checkLinearStatus(x *index, f *finding) {
	s := newSearch(f, statusModel)
	x.eachKey(func(key string, ops []op) {
		s.check(about(key), operations(ops, func(o load.Operation) bool {
			return o.Op == "place" && (o.Outcome != load.Fail || o.Status > 0 && mayCreate(o) || o.Status == http.StatusUnprocessableEntity) ||
				o.Op == "get" && (o.Outcome == load.OK || o.Status == http.StatusNotFound)
		}))
	})
}

// eachKey calls f with the operations of each key of each run.
func (x *index) eachKey(f func(key string, ops []op)) {
	for _, key := range x.keys() {
		byRun := map[int][]op{}
		for _, o := range x.ops[key] {
			byRun[o.history] = append(byRun[o.history], o)
		}
		for _, run := range slices.Sorted(maps.Keys(byRun)) {
			f(key, byRun[run])
		}
	}
}

func operations(ops []op, take func(load.Operation) bool) (out []porcupine.Operation) {
	for i, o := range ops {
		if take(o.Operation) {
			out = append(out, porcupine.Operation{ClientId: i, Input: told(o.Operation), Output: noOutput{}, Call: o.Call, Return: returned(o.Operation)})
		}
	}
	return out
}

// keyModel is the register of one idempotency key, which the first request
// writes and no other.
var keyModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(register), load.Operation(input.(told))
		body := body(o.Lines)
		same := now.body == body
		switch {
		case o.Status == http.StatusUnprocessableEntity:
			return now.body != "" && !same, register{body: now.body, order: now.order}
		case o.Outcome == load.OK:
			ok := now.body == "" || same && (now.order == "" || now.order == o.OrderID) || !same && now.maybe
			return ok, register{body: body, order: o.OrderID}
		case now.body == "":
			// Refused before there was an order, or cancelled after; or unknown.
			return true, register{body: body, maybe: o.Outcome != load.Info}
		case o.Outcome == load.Info:
			return true, now
		}
		return same || now.maybe, now
	},
}

// register is what a key holds: the body of the request that came first, and
// its order where that is known. A maybe holds it or nothing.
type register struct {
	body, order string
	maybe       bool
}

func checkLinearKeys(x *index, f *finding) {
	s := newSearch(f, keyModel)
	x.eachKey(func(key string, ops []op) {
		s.check(about(key), operations(ops, func(o load.Operation) bool {
			return o.Op == "place" && (mayCreate(o) || o.Status == http.StatusUnprocessableEntity)
		}))
	})
}
