package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/provider"
)

// checkOnce counts effects: whatever was repeated, by customers or by the
// services among themselves, must have had one.
func checkOnce(x *index, f *finding) {
	for _, key := range slices.Sorted(maps.Keys(x.idsOf)) {
		ids := x.idsOf[key]
		f.expect(len(ids) == 1, about(append([]string{key}, ids...)...), "one order for the key", fmt.Sprintf("%d orders", len(ids)))
	}
	for _, id := range slices.Sorted(maps.Keys(x.charges)) {
		c, s := x.charges[id], about(id)
		if o := x.orders[id]; o != nil {
			s = o.subject()
		}
		f.expect(len(c.authorisations) <= 1, s, "one authorisation", entries(c.authorisations))
		f.expect(len(c.captures) <= 1, s, "one capture", entries(c.captures))
		f.expect(len(c.voids) <= 1, s, "one void", entries(c.voids))
	}
	for _, id := range slices.Sorted(maps.Keys(x.holds)) {
		x.onceHeld(f, id)
	}
}

// onceHeld counts what the ledgers of all SKUs say of one order.
func (x *index) onceHeld(f *finding, id string) {
	o := x.orders[id]
	for _, sku := range slices.Sorted(maps.Keys(x.holds[id])) {
		h, s := x.holds[id][sku], about(id, sku)
		if o != nil {
			s = about(id, sku, o.Key).traced(o.TraceID)
		}
		f.expect(h.reserved <= 1, s, "one reservation", fmt.Sprintf("%d reservations of %d units together", h.reserved, h.quantity))
		f.expect(h.committed+h.released <= 1, s, "one end of the hold", fmt.Sprintf("%d commits and %d releases", h.committed, h.released))
		if o != nil && h.reserved > 0 {
			want := quantityOf(o.Lines, sku)
			f.expect(h.quantity == want, s, fmt.Sprintf("%d units reserved, as ordered", want), fmt.Sprintf("%d", h.quantity))
		}
	}
}

func quantityOf(lines []Line, sku string) int {
	for _, l := range lines {
		if l.SKU == sku {
			return l.Quantity
		}
	}
	return 0
}

// entries lists entries of the provider's ledger by their keys.
func entries(list []provider.Entry) string {
	keys := make([]string, len(list))
	for i, e := range list {
		keys[i] = fmt.Sprintf("%s of %d", e.Key, e.Amount)
	}
	return fmt.Sprintf("%d (%s)", len(list), strings.Join(keys, ", "))
}
