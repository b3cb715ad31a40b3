package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// stockModel is the register of one SKU's levels. An operation is what an event
// of the ledger did to the SKU; its output is the level that it wrote.
var stockModel = porcupine.Model{
	Init: func() any { return levels{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(levels), input.(stockInput), output.(levels)
		if !now.begun {
			now = levels{begun: true, available: in.initial}
		}
		for _, o := range in.ops {
			switch o.Kind {
			case "reserved":
				now.available += o.Restock - o.Quantity
				now.reserved += o.Quantity
			case "committed":
				now.reserved -= o.Quantity
				now.shipped += o.Quantity
			case "released":
				now.reserved -= o.Quantity
				now.available += o.Quantity
			}
			if now.available < 0 || now.reserved < 0 {
				return false, now
			}
		}
		return now == out, now
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
	initial int
	ops     []StockOp
}

func (i stockInput) String() string {
	parts := make([]string, len(i.ops))
	for n, o := range i.ops {
		parts[n] = fmt.Sprintf("%s %d, %d restocked", o.Kind, o.Quantity, o.Restock)
	}
	return strings.Join(parts, " and ")
}

// checkLinearStock lets an event happen at any time between its decision and
// its storage.
func checkLinearStock(x *index, f *finding) {
	s := newSearch(f, stockModel)
	for _, sku := range slices.Sorted(maps.Keys(x.changes)) {
		var ops []porcupine.Operation
		var clock int64 // of the broker, kept from going back
		for i, c := range x.changes[sku] {
			clock = max(clock, c.stored.UnixNano())
			initial := c.after.Initial
			if start, known := x.Start[sku]; known {
				initial = start
			}
			ops = append(ops, porcupine.Operation{
				ClientId: i,
				Input:    stockInput{initial, c.ops},
				Output:   levels{true, c.after.Available, c.after.Reserved, c.after.Shipped},
				Call:     min(c.decided.UnixNano(), clock), Return: clock,
			})
		}
		s.check(about(sku), ops)
	}
}
