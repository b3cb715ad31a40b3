package audit

import (
	"fmt"
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

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
