package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

// BenchmarkRun audits ten thousand orders over fifty SKUs.
func BenchmarkRun(b *testing.B) {
	e := &Evidence{Start: map[string]int{}, Cut: 1 << 40, Histories: []load.History{{Whole: true}}}
	e.shard(StockEvent{Claim: &StockClaim{Owner: owner}})
	shelves := map[string]Shelf{}
	for i := range 10_000 {
		name, sku := fmt.Sprint(i), fmt.Sprint("sku-", i%50)
		lines := []Line{{SKU: sku, Quantity: 1}}
		e.Start[sku] = 1000
		e.order(name, lines, placed, reserved, authorised, dispatched, captured, confirmed)
		for _, kind := range []string{"reserved", "committed"} {
			shelf, known := shelves[sku]
			if !known {
				shelf = Shelf{Available: 1000}
			}
			shelf, _ = after(shelf, StockOp{Kind: kind, Key: "order-" + name, Quantity: 1}, time.Time{})
			shelves[sku] = shelf
			e.stock(sku, kind, name, 1, shelf)
		}
		e.payment(name, "authorising", "authorised", captured)
		e.parcel(name, lines, "booked", "shipped")
		for _, op := range []provider.Op{provider.OpAuthorise, provider.OpCapture} {
			e.Provider = append(e.Provider, provider.Entry{Op: op, Key: "order-" + name + "/" + string(op), Reference: name, Amount: 500, Currency: "EUR"})
		}
		t := float64(i)
		e.asked(place(name, lines, t, t+1, load.OK, 201, confirmed), get(name, lines, t+2, t+3, 200, confirmed))
	}
	for b.Loop() {
		if r := Run(*e); !r.Held() {
			b.Fatalf("violations in %v", found(r))
		}
	}
}
