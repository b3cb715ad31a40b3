package audit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// checkStock replays every shard, settles it with the orders and looks up the
// levels that customers saw while the shop was running.
func checkStock(x *index, f *finding) {
	home := map[string]string{} // shard by SKU
	for _, name := range slices.Sorted(maps.Keys(x.shards)) {
		r := &replay{index: x, f: f, shard: name, shelves: map[string]Shelf{}, home: home}
		for _, ev := range x.shards[name] {
			r.event(ev)
		}
	}
	x.judgedOrders(func(o *order) { x.settleStock(f, o) })
	x.snapshots(f)
}

// after is the shelf after an operation, and what is wrong with the operation.
func after(s Shelf, o StockOp, at time.Time) (next Shelf, complaint string) {
	held := s.Holds[o.Key].Quantity
	s.Holds = maps.Clone(s.Holds)
	if s.Holds == nil {
		s.Holds = map[string]Hold{}
	}
	delete(s.Holds, o.Key)
	s.Restocked += o.Restock
	s.Available += o.Restock
	switch o.Kind {
	case "reserved":
		if held > 0 || o.Quantity <= 0 || o.Restock < 0 {
			complaint = fmt.Sprintf("a reservation of %d units with %d restocked where %d are held already", o.Quantity, o.Restock, held)
		}
		s.Holds[o.Key] = Hold{o.Quantity, at}
		s.Available -= o.Quantity
		s.Reserved += o.Quantity - held
		return s, complaint
	case "committed":
		s.Shipped += held
	case "released":
		s.Available += held
	default:
		complaint = fmt.Sprintf("the unknown kind %q", o.Kind)
	}
	s.Reserved -= held
	if o.Quantity != held || o.Restock != 0 || o.Kind == "committed" && held == 0 {
		complaint = fmt.Sprintf("%d units %s with %d restocked where %d are held", o.Quantity, o.Kind, o.Restock, held)
	}
	return s, complaint
}

func sameLevel(a, b Shelf) bool {
	return a.Initial == b.Initial && a.Restocked == b.Restocked && a.Available == b.Available &&
		a.Reserved == b.Reserved && a.Shipped == b.Shipped
}

func sameHolds(a, b map[string]Hold) bool {
	return maps.EqualFunc(a, b, func(x, y Hold) bool { return x.Quantity == y.Quantity && x.Since.Equal(y.Since) })
}

func balanced(s Shelf) bool {
	return s.Reserved >= 0 && s.Available >= 0 && s.Shipped >= 0 &&
		s.Initial+s.Restocked == s.Available+s.Reserved+s.Shipped
}

func level(s Shelf) string {
	return fmt.Sprintf("%d available, %d reserved, %d shipped of %d initial and %d restocked",
		s.Available, s.Reserved, s.Shipped, s.Initial, s.Restocked)
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
	for sku, changes := range x.changes {
		levels := map[int]int64{changes[0].after.Initial: math.MinInt64}
		for _, c := range changes {
			if _, known := levels[c.after.Available]; !known {
				levels[c.after.Available] = c.stored.Add(-skew).UnixNano()
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
