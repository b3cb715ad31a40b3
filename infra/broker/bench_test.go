package broker_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kitmesh/kitmesh/infra/broker"
)

// BenchmarkAppend measures synced writes of 500 bytes by many writers, each to
// keys of its own.
func BenchmarkAppend(b *testing.B) {
	s, err := broker.Start(b.Context(), broker.ServerOptions{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	c, err := broker.Connect(b.Context(), s.URL(), broker.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	j, err := c.Journal(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	event := make([]byte, 500)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := j.Append(b.Context(), fmt.Sprint("k", n.Add(1)), "", event, 0); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
