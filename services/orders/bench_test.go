package orders_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/orders"
)

// BenchmarkPlace measures whole orders, everything synced: 11 events and two
// entries of the provider's ledger each, on 200 SKUs.
func BenchmarkPlace(b *testing.B) {
	s := newShop(b, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	s.background(saga.Run)
	var n atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			o, err := saga.Place(b.Context(), request(fmt.Sprint("k", i), orders.Line{SKU: fmt.Sprint("sku-", i%200), Quantity: 1}))
			if err != nil || o.Status != orders.Confirmed {
				b.Errorf("%+v, %v", o, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
}
