package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/services/inventory"
)

// measure shows what the ledger counts. Requests per event are the size of a
// batch.
func measure(r prometheus.Registerer, l *inventory.Ledger) {
	s := l.Stats()
	for name, c := range map[string]struct {
		help  string
		count func() int64
	}{
		"events":      {"Stock events written, with requests in them.", s.Events.Load},
		"requests":    {"Requests that those events answered.", s.Requests.Load},
		"forwarded":   {"Requests sent to the owner of their shard.", s.Forwarded.Load},
		"takeovers":   {"Shards claimed.", s.Takeovers.Load},
		"fenced":      {"Stock events refused by the journal because somebody else wrote.", s.Fenced.Load},
		"refused":     {"Requests refused because too many waited for the shard.", s.Refused.Load},
		"checkpoints": {"Checkpoints written.", s.Checkpoints.Load},
		"expired":     {"Forgotten holds released.", s.Expired.Load},
	} {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kitmesh_stock_" + name + "_total", Help: c.help,
		}, func() float64 { return float64(c.count()) }))
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kitmesh_stock_shards_owned", Help: "Shards that this instance owns.",
	}, func() float64 { return float64(l.Owned()) }))
}
