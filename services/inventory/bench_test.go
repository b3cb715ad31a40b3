package inventory_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kitmesh/kitmesh/services/inventory"
)

// BenchmarkHotSKU has 48 customers of three instances reserve and commit one
// SKU, on a broker that syncs every write.
func BenchmarkHotSKU(b *testing.B) {
	w := journal(b)
	ls := make([]*inventory.Ledger, 3)
	for i := range ls {
		c := connect(b, w.url)
		ls[i] = instanceOn(b, c.Journal, c.Client, inventory.Options{ID: fmt.Sprint("inventory-", i)})
	}
	before, err := w.Tail(b.Context())
	must(b, err)
	var next atomic.Int64
	var customers sync.WaitGroup
	b.ResetTimer()
	for n := range 48 {
		customers.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				key, ls, at := fmt.Sprint("order-", i), lines(1, "cup"), ls[n%len(ls)]
				must(b, reserve(b, at, key, ls))
				must(b, commit(b, at, key, ls))
			}
		})
	}
	customers.Wait()
	b.StopTimer()
	after, err := w.Tail(b.Context())
	must(b, err)
	b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "operations/s")
	b.ReportMetric(float64(after-before)/(2*float64(b.N)), "appends/operation")
}
