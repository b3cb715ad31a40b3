package audit

import (
	"cmp"
	"fmt"

	"github.com/kitmesh/kitmesh/infra/provider"
)

// checkMoney compares each finished order with the provider's own ledger, which
// is the truth about money, and with what payments believes.
func checkMoney(x *index, f *finding) {
	x.judgedOrders(func(o *order) {
		c := x.charges[o.ID]
		if c == nil {
			c = &charges{}
		}
		takenBack := map[string]bool{}
		for _, e := range c.voids {
			takenBack[e.Reference] = true
		}
		taken := map[string]bool{}
		for _, e := range c.captures {
			taken[e.Reference] = true
		}
		var open []provider.Entry
		for _, e := range c.authorisations {
			if !taken[e.Reference] && !takenBack[e.Reference] {
				open = append(open, e)
			}
		}
		belief := "nothing"
		if p := x.payments[o.ID]; len(p) > 0 {
			belief = p[len(p)-1].Status
		}
		switch o.Status {
		case confirmed:
			f.expect(sum(c.captures) == o.Total.Amount && currency(c.captures) == o.Total.Currency, o.subject(),
				fmt.Sprintf("%d %s captured for the confirmed order", o.Total.Amount, o.Total.Currency), entries(c.captures))
			f.expect(len(open) == 0, o.subject(), "no other money held", entries(open))
			f.expect(belief == captured, o.subject(), "a payment that is captured, as the provider says", belief)
		case cancelled, failed:
			f.expect(len(c.captures) == 0, o.subject(), "nothing captured for the "+o.Status+" order", entries(c.captures))
			f.expect(len(open) == 0, o.subject(), "everything given back for the "+o.Status+" order", entries(open)+" still held")
			settled := belief == "nothing" || belief == "voided" || belief == "declined"
			f.expect(settled || o.Status == failed, o.subject(), "a payment that is voided, declined or was never begun", belief)
		}
	})
}

func sum(list []provider.Entry) (total int64) {
	for _, e := range list {
		total += e.Amount
	}
	return total
}

// currency is that of all entries, "" when there are several.
func currency(list []provider.Entry) string {
	var all string
	for _, e := range list {
		if all != "" && e.Currency != all {
			return ""
		}
		all = cmp.Or(all, e.Currency)
	}
	return all
}

// checkParcels compares each finished order with its shipment.
func checkParcels(x *index, f *finding) {
	x.judgedOrders(func(o *order) {
		found, lines := "none", []Line(nil)
		if p := x.parcels[o.ID]; len(p) > 0 {
			found, lines = p[len(p)-1].Status, p[len(p)-1].Lines
		}
		switch o.Status {
		case confirmed:
			f.expect((found == "booked" || found == "shipped") && sameLines(lines, o.Lines), o.subject(),
				"a parcel of "+text(o.Lines), found+" "+text(lines))
		case cancelled:
			f.expect(found == "none" || found == cancelled, o.subject(), "no parcel, or a cancelled one", found)
		}
	})
}
