package audit

import (
	"math"
	"net/http"

	"github.com/anishathalye/porcupine"

	"github.com/kitmesh/kitmesh/infra/load"
)

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
		now := state.(possible)
		if c, ok := input.(creation); ok {
			return true, now.created(c)
		}
		o := load.Operation(input.(told))
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
		}
		return now != 0, now
	},
}

// creation is the first half of placing an order, the other being its answer:
// between them others may read the order on its way. Whatever was refused may
// have left nothing.
type creation struct{ refused bool }

func (creation) String() string { return "creation" }

// created is what can be after a creation.
func (p possible) created(c creation) possible {
	switch {
	case p&isNone == 0:
		return p
	case c.refused:
		return p | isPending
	}
	return p&^isNone | isPending
}

// creationOf makes one creation of all requests that place the order, or the
// search would try the many orders of what is the same: it came after the first
// call, and before the first answer that speaks of the order.
func creationOf(ops []op) []porcupine.Operation {
	c := porcupine.Operation{ClientId: len(ops), Input: creation{refused: true}, Output: noOutput{}, Call: math.MaxInt64, Return: math.MinInt64}
	known := int64(math.MaxInt64)
	for _, o := range ops {
		if o.Op != "place" || !mayCreate(o.Operation) {
			continue
		}
		c.Call, c.Return = min(c.Call, o.Call), max(c.Return, o.Return)
		if o.Outcome == load.OK {
			known = min(known, o.Return)
		}
		if o.Outcome != load.Fail {
			c.Input = creation{}
		}
	}
	if c.Call == math.MaxInt64 {
		return nil
	}
	if c.Input == (creation{}) {
		c.Return = known
	}
	return []porcupine.Operation{c}
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
		all := operations(ops, func(o load.Operation) bool {
			return o.Op == "place" && (mayCreate(o) && o.Outcome != load.Info || o.Status == http.StatusUnprocessableEntity) ||
				o.Op == "get" && (o.Outcome == load.OK || o.Status == http.StatusNotFound)
		})
		s.check(about(key), append(all, creationOf(ops)...))
	})
}
