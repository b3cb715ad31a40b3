package audit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/load"
)

// checkDurability looks for each order that a customer was shown.
func checkDurability(x *index, f *finding) {
	for _, key := range x.keys() {
		for _, o := range x.ops[key] {
			if o.Outcome != load.OK || o.OrderID == "" {
				continue
			}
			s := about(o.OrderID, o.IdemKey).traced(o.TraceID)
			have := x.orders[o.OrderID]
			if have == nil {
				f.expect(false, s, "the order that was acknowledged", "no such order")
				continue
			}
			lines := o.Lines
			if o.Answer != nil {
				lines = o.Answer
			}
			f.expect(sameLines(lines, have.Lines) && o.Amount == have.Total.Amount, s,
				fmt.Sprintf("%s for %d, as acknowledged", text(lines), o.Amount),
				fmt.Sprintf("%s for %d", text(have.Lines), have.Total.Amount))
			if o.Op == "place" {
				f.expect(sameLines(o.Lines, have.Lines) && o.IdemKey == have.Key, s,
					"what was asked for, "+text(o.Lines)+", under "+o.IdemKey, text(have.Lines)+" under "+have.Key)
			}
		}
	}
}

// checkPhantoms looks for orders that nobody asked for, and for effects without
// an order.
func checkPhantoms(x *index, f *finding) {
	x.effectsWithoutOrder(f)
	runs := x.wholeRuns(f)
	for _, id := range x.ids {
		o := x.orders[id]
		if !runs[runOf(o.Key)] {
			continue
		}
		var bodies []string
		asked := false
		for _, p := range x.ops[o.Key] {
			if p.Op == "place" && mayCreate(p.Operation) {
				asked = asked || sameLines(p.Lines, o.Lines)
				bodies = append(bodies, text(p.Lines))
			}
		}
		found := fmt.Sprintf("an order for %s", text(o.Lines))
		if len(bodies) == 0 {
			f.expect(false, o.subject(), "no order: nobody asked for one under this key, or the shop refused", found)
		} else {
			f.expect(asked, o.subject(), "an order for "+strings.Join(bodies, " or "), found)
		}
	}
}

// mayCreate reports whether a request may have left an order: unless it provably
// had no effect. A conflict or a decline is told after the order was cancelled.
func mayCreate(o load.Operation) bool {
	return o.Outcome != load.Fail || o.Status == http.StatusConflict || o.Status == http.StatusPaymentRequired
}

// runOf is the part of an idempotency key that all keys of one run share.
func runOf(key string) string { return key[:strings.LastIndexByte(key, '-')+1] }

// wholeRuns are the runs whose every request is known.
func (x *index) wholeRuns(f *finding) map[string]bool {
	runs := map[string]bool{}
	broken := 0
	for _, h := range x.Histories {
		if !h.Whole {
			broken++
		}
		for _, o := range h.Ops {
			if run := runOf(o.IdemKey); run != "" {
				runs[run] = h.Whole
			}
		}
	}
	switch {
	case len(x.Histories) == 0:
		f.Skipped = "only effects without an order; " + noHistory
	case broken > 0:
		f.Skipped = fmt.Sprintf("%d histories end in the middle of a run: its orders are not judged here", broken)
	}
	return runs
}

// effectsWithoutOrder looks for money, goods and parcels of no order.
func (x *index) effectsWithoutOrder(f *finding) {
	for _, effects := range []struct {
		what string
		ids  []string
	}{
		{"a payment", slices.Sorted(maps.Keys(x.payments))},
		{"entries in the provider's ledger", slices.Sorted(maps.Keys(x.charges))},
		{"a hold on goods", slices.Sorted(maps.Keys(x.holds))},
		{"a parcel", slices.Sorted(maps.Keys(x.parcels))},
	} {
		for _, id := range effects.ids {
			f.expect(x.orders[id] != nil, about(id), "an order of this id", effects.what+" and no order")
		}
	}
}
