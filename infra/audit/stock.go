package audit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// checkStock replays every shelf, settles it with the orders and looks up the
// levels that customers saw while the shop was running.
func checkStock(x *index, f *finding) {
	for _, sku := range slices.Sorted(maps.Keys(x.shelves)) {
		x.replayShelf(f, sku)
	}
	x.judgedOrders(func(o *order) { x.settleStock(f, o) })
	x.snapshots(f)
}

// replayShelf compares the shelf after each event with the one before it and
// what happened.
func (x *index) replayShelf(f *finding, sku string) {
	events := x.shelves[sku]
	initial := events[0].Value.Shelf.Initial
	if start, ok := x.Start[sku]; ok {
		initial = start
	} else if x.Start != nil {
		initial = 0 // not on the list any more
	}
	before := Shelf{SKU: sku, Initial: initial, Available: initial}
	for _, ev := range events {
		e, s := ev.Value, about(sku, ev.Value.Key)
		if o := x.orders[e.Key]; o != nil {
			s = s.traced(o.TraceID)
		}
		want, complaint := after(before, e)
		f.expect(complaint == "", s, "an event that can follow the one before", complaint)
		f.expect(sameShelf(want, e.Shelf), s,
			fmt.Sprintf("%s after event %d (%s %d)", level(want), ev.Seq, e.Kind, e.Quantity), level(e.Shelf))
		f.expect(balanced(e.Shelf), s, "initial + restocked = available + reserved + shipped, none negative, and holds that add up", level(e.Shelf))
		before = e.Shelf // go on from there: one mistake is one violation
	}
}

// after is the shelf after an event, and what is wrong with the event.
func after(s Shelf, e StockEvent) (next Shelf, complaint string) {
	held := s.Holds[e.Key]
	s.Holds = maps.Clone(s.Holds)
	if s.Holds == nil {
		s.Holds = map[string]int{}
	}
	delete(s.Holds, e.Key)
	s.Restocked += e.Restock
	s.Available += e.Restock
	switch e.Kind {
	case "reserved":
		if held > 0 || e.Quantity <= 0 || e.Restock < 0 {
			complaint = fmt.Sprintf("a reservation of %d units with %d restocked where %d are held already", e.Quantity, e.Restock, held)
		}
		s.Holds[e.Key] = e.Quantity
		s.Available -= e.Quantity
		s.Reserved += e.Quantity - held
		return s, complaint
	case "committed":
		s.Shipped += held
	case "released":
		s.Available += held
	default:
		complaint = fmt.Sprintf("the unknown kind %q", e.Kind)
	}
	s.Reserved -= held
	if e.Quantity != held || e.Restock != 0 || e.Kind == "committed" && held == 0 {
		complaint = fmt.Sprintf("%d units %s with %d restocked where %d are held", e.Quantity, e.Kind, e.Restock, held)
	}
	return s, complaint
}

func sameShelf(a, b Shelf) bool {
	return a.Initial == b.Initial && a.Restocked == b.Restocked && a.Available == b.Available &&
		a.Reserved == b.Reserved && a.Shipped == b.Shipped && maps.Equal(a.Holds, b.Holds)
}

func balanced(s Shelf) bool {
	sum := 0
	for _, units := range s.Holds {
		if units <= 0 {
			return false
		}
		sum += units
	}
	return sum == s.Reserved && s.Available >= 0 && s.Shipped >= 0 &&
		s.Initial+s.Restocked == s.Available+s.Reserved+s.Shipped
}

func level(s Shelf) string {
	return fmt.Sprintf("%d available, %d reserved for %d orders, %d shipped of %d initial and %d restocked",
		s.Available, s.Reserved, len(s.Holds), s.Shipped, s.Initial, s.Restocked)
}

// settleStock compares one finished order with what the shelves did for it.
func (x *index) settleStock(f *finding, o *order) {
	for _, l := range o.Lines {
		var h hold
		if known := x.holds[o.ID][l.SKU]; known != nil {
			h = *known
		}
		s := about(o.ID, l.SKU, o.Key).traced(o.TraceID)
		found := fmt.Sprintf("%d shipped, %d held", h.shipped, h.open)
		switch o.Status {
		case confirmed:
			f.expect(h.shipped == l.Quantity && h.open == 0, s, fmt.Sprintf("%d shipped, 0 held for the confirmed order", l.Quantity), found)
		case cancelled:
			f.expect(h.shipped == 0 && h.open == 0, s, "0 shipped, 0 held for the cancelled order", found)
		}
	}
}

// skew is how far the clocks of customers and broker may be apart.
const skew = time.Second

// snapshots are the levels on product pages. Each instance serves its own copy
// of the ledger, so a level may be old; but it must have been.
func (x *index) snapshots(f *finding) {
	since := map[string]map[int]int64{} // SKU, level: from when on it may have been seen
	for sku, events := range x.shelves {
		levels := map[int]int64{events[0].Value.Shelf.Initial: math.MinInt64}
		for _, ev := range events {
			if _, known := levels[ev.Value.Shelf.Available]; !known {
				levels[ev.Value.Shelf.Available] = ev.At.Add(-skew).UnixNano()
			}
		}
		since[sku] = levels
	}
	for _, h := range x.Histories {
		for _, o := range h.Ops {
			if o.Available == nil {
				continue
			}
			levels := since[o.SKU]
			if levels == nil {
				start, known := x.Start[o.SKU]
				if !known {
					continue
				}
				levels = map[int]int64{start: math.MinInt64}
			}
			if at, ever := levels[*o.Available]; ever && at <= o.Return {
				f.Checked++
				continue
			}
			f.expect(false, about(o.SKU).traced(o.TraceID),
				"a level that the ledger had by then", fmt.Sprintf("a page with %d available; the ledger had %s", *o.Available, known(levels)))
		}
	}
}

// known lists some levels.
func known(levels map[int]int64) string {
	const most = 10
	all := slices.Sorted(maps.Keys(levels))
	var b strings.Builder
	for i, n := range all {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(all)-most)
			break
		}
		fmt.Fprintf(&b, " %d", n)
	}
	return strings.TrimSpace(b.String())
}
