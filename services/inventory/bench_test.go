package inventory_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// BenchmarkRestart starts an instance on a ledger of many orders, and has it
// take over every shard. The time to be ready must not depend on their number.
func BenchmarkRestart(b *testing.B) {
	for _, orders := range []int{500, 5_000, 50_000} {
		b.Run(fmt.Sprint("orders-", orders), func(b *testing.B) { benchmarkRestart(b, orders) })
	}
}

func benchmarkRestart(b *testing.B, orders int) {
	w := journal(b)
	stock := map[string]int{}
	var all []inventory.Line
	for i := range 90 {
		sku := fmt.Sprint("sku-", i)
		stock[sku] = 1000
		all = append(all, inventory.Line{SKU: sku, Quantity: 1})
	}
	run := func(o inventory.Options) (l *inventory.Ledger, stop func()) {
		l = inventory.New(w.Journal, w.Client, stock, o)
		return l, start(b, l)
	}
	l, stop := run(still)
	var next atomic.Int64
	var customers sync.WaitGroup
	for range 200 {
		customers.Go(func() {
			for i := next.Add(1); i <= int64(orders); i = next.Add(1) {
				key, from := fmt.Sprintf("order-%018d", i), int(i)*7%88
				ls := all[from : from+2+int(i)%2] // 2.5 lines
				must(b, reserve(b, l, key, ls))
				must(b, commit(b, l, key, ls))
			}
		})
	}
	customers.Wait()
	tail, err := w.Tail(b.Context())
	must(b, err)
	stop()
	var ready, taken time.Duration
	var cpu int64
	rounds := 0
	for b.Loop() {
		began, used := time.Now(), cpuTime()
		l, stop := run(still)
		ready += time.Since(began)
		cpu += cpuTime() - used
		began = time.Now()
		must(b, commit(b, l, fmt.Sprintf("order-%018d", orders), all[orders*7%88:][:2+orders%2])) // known
		must(b, reserve(b, l, fmt.Sprint("late-", rounds), all))
		taken += time.Since(began)
		rounds++
		stop()
	}
	b.ReportMetric(float64(ready.Microseconds())/1000/float64(rounds), "ms-to-ready")
	b.ReportMetric(float64(cpu)/1e6/float64(rounds), "cpu-ms-to-ready")
	b.ReportMetric(float64(taken.Microseconds())/1000/float64(rounds), "ms-to-take-16-shards")
	b.ReportMetric(float64(tail), "events-in-journal")
}

// cpuTime is what this process, the broker in it included, has used, in ns.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
