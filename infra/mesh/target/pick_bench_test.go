package target

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// crowd is a Target of n instances whose every member has answered before.
func crowd(b testing.TB, n int, o Options) *Target {
	var list []discovery.Instance
	for i := range n {
		list = append(list, discovery.Instance{
			Service: "x", ID: fmt.Sprintf("x-%05d", i), Addr: fmt.Sprintf("10.%d.%d.%d:9000", i>>16, i>>8&255, i&255),
			Version: "v1", Zone: []string{"local", "elsewhere"}[i%2], Weight: 1,
		})
	}
	o.Service, o.Source = "x", discovery.NewStatic(list...)
	x := New(o)
	b.Cleanup(func() { _ = x.Close() })
	for _, m := range x.set.Load().members {
		m.latency.observe(x.now(), 2*time.Millisecond, time.Second, false)
	}
	return x
}

// Both sets in turns, so that what else runs on the machine meets both: the
// ratios are medians of pairs.
func BenchmarkTenThousandOverThree(b *testing.B) {
	few, many := crowd(b, 3, Options{}), crowd(b, 10_000, Options{})
	call := Call{Method: "x.Read", Idempotent: true}
	try := func(context.Context, *Member) error { return nil }
	for what, one := range map[string]func(x *Target){
		"pick": func(x *Target) {
			var not tried
			x.set.Load().pick(&not, x.now())
		},
		"call": func(x *Target) { _ = x.Do(b.Context(), call, try) },
	} {
		b.Run(what, func(b *testing.B) {
			const slice = 20_000
			timed := func(x *Target) float64 {
				begin := time.Now()
				for range slice {
					one(x)
				}
				return float64(time.Since(begin)) / slice
			}
			var least, most, ratio []float64
			for b.Loop() {
				l, m := timed(few), timed(many)
				least, most, ratio = append(least, l), append(most, m), append(ratio, m/l)
			}
			median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(least), "ns/3")
			b.ReportMetric(median(most), "ns/10000")
			b.ReportMetric(median(ratio), "x")
		})
	}
}
