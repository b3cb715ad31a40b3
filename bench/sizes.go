package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// sizes are the numbers of instances that a target must not mind.
var sizes = []int{3, 100, 10_000}

// size is what a number of instances costs.
type size struct {
	instances int
	picks     []float64 // ns per Target.Do around a try that does nothing, by round
	update    float64   // ns until calls pick from a set in which one instance is new
	bytes     float64   // per instance, snapshot and target, not connected
}

func measureSizes(s settings) ([]size, error) {
	all := make([]size, len(sizes))
	targets := make([]*crowd, len(sizes))
	for i, n := range sizes {
		before := heap()
		c := newCrowd(n)
		defer c.close()
		targets[i] = c
		all[i] = size{instances: n, bytes: (heap() - before) / float64(n)}
	}
	for range max(s.pairs, 10) * 2 { // interleaved, like everything here
		for i, c := range targets {
			all[i].picks = append(all[i].picks, c.pick(50_000))
		}
	}
	for i, c := range targets {
		var err error
		if all[i].update, err = c.update(30); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// xPick are the paired ratios of picking from the largest and the smallest set.
func xPick(all []size) []float64 {
	var out []float64
	small, large := all[0], all[len(all)-1]
	for i := range small.picks {
		out = append(out, large.picks[i]/small.picks[i])
	}
	return out
}

// crowd is a target with many instances that nobody connects to.
type crowd struct {
	instances []discovery.Instance
	source    *discovery.Static
	target    *target.Target
	registry  *prometheus.Registry
}

func newCrowd(n int) *crowd {
	c := &crowd{registry: prometheus.NewRegistry()}
	for i := range n {
		c.instances = append(c.instances, discovery.Instance{
			Service: service, ID: fmt.Sprintf("%s-%05d", service, i), Addr: fmt.Sprintf("10.%d.%d.%d:9000", i>>16, i>>8&255, i&255),
			Version: "v1", Zone: "local", Admin: "http://10.0.0.1:9001", Started: "2026-01-01T00:00:00Z",
			Meta: map[string]string{"version": "v1", "zone": "local", "admin": "http://10.0.0.1:9001", "started": "2026-01-01T00:00:00Z"},
			Tags: []string{"kitmesh"},
		})
	}
	c.source = discovery.NewStatic(c.instances...)
	c.target = target.New(target.Options{Service: service, Source: c.source, Metrics: target.NewMetrics(justInstances{c.registry})})
	return c
}

func (c *crowd) close() { _ = c.target.Close() }

// pick returns the ns per call, all of which the target itself takes.
func (c *crowd) pick(calls int) float64 {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := target.Call{Method: "catalog.Get", Idempotent: true}
	try := func(context.Context, *target.Member) error { return nil }
	begin := time.Now()
	for range calls {
		_ = c.target.Do(ctx, call, try)
	}
	return float64(time.Since(begin)) / float64(calls)
}

// update returns the median time from telling the source of one more, or one
// less, instance to the target having it.
func (c *crowd) update(rounds int) (float64, error) {
	one := discovery.Instance{Service: service, ID: "one-more", Addr: "10.255.0.1:9000"}
	more := append(slices.Clone(c.instances), one)
	var took []float64
	for i := range rounds {
		next := c.instances
		if i%2 == 0 {
			next = more
		}
		begin := time.Now()
		c.source.Set(next...)
		for c.known() != len(next) {
			if time.Since(begin) > 10*time.Second {
				return 0, fmt.Errorf("the target of %d instances did not notice one more within 10 s", len(c.instances))
			}
			runtime.Gosched()
		}
		took = append(took, float64(time.Since(begin)))
	}
	return median(took), nil
}

// justInstances registers the number of instances alone: to gather what the
// target tells of each would take longer than what is measured.
type justInstances struct{ *prometheus.Registry }

// MustRegister picks it out.
func (r justInstances) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if vec, ok := c.(*prometheus.GaugeVec); ok {
			descs := make(chan *prometheus.Desc, 1)
			vec.Describe(descs)
			if strings.Contains((<-descs).String(), instancesMetric) {
				r.Registry.MustRegister(c)
			}
		}
	}
}

const instancesMetric = "kitmesh_target_instances"

// known is the number of instances that the target says it has.
func (c *crowd) known() int {
	families, err := c.registry.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == instancesMetric {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return -1
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // the first one only marks what finalizers hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
