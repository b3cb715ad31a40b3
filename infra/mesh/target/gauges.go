package target

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges tell how the members stand when somebody asks, at no cost to the calls.
type gauges struct {
	latency, suspect, part, policy, known *prometheus.Desc

	mu      sync.Mutex
	targets map[*Target]struct{}
}

func newGauges() *gauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"target", "instance"}, nil)
	}
	return &gauges{
		latency: desc("kitmesh_member_ewma_seconds", "Peak EWMA of the answers' times of an instance, 0 while unknown."),
		suspect: desc("kitmesh_member_suspect", "1 while an instance holds calls and is silent."),
		part:    desc("kitmesh_member_slow_start", "The part of its share that an instance gets now, 1 after its slow start."),
		policy: prometheus.NewDesc("kitmesh_target_policy", "1 for the policy and the preferred zone of a target.",
			[]string{"target", "policy", "zone"}, nil),
		known: prometheus.NewDesc("kitmesh_target_known_instances", "Instances that discovery told, of which the caller may use a subset.",
			[]string{"target"}, nil),
		targets: map[*Target]struct{}{},
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	out <- g.latency
	out <- g.suspect
	out <- g.part
	out <- g.policy
	out <- g.known
}

// Collect implements prometheus.Collector. Where two targets of one service
// know the same instance, one of them speaks.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	told := map[[2]string]bool{}
	for t := range g.targets {
		r := t.Report()
		if key := [2]string{r.Service}; !told[key] {
			told[key] = true
			b := t.opts.Balance
			out <- prometheus.MustNewConstMetric(g.policy, prometheus.GaugeValue, 1, r.Service, string(b.Policy), b.Zone)
			out <- prometheus.MustNewConstMetric(g.known, prometheus.GaugeValue, float64(r.Known), r.Service)
		}
		for _, m := range r.Members {
			if key := [2]string{r.Service, m.ID}; !told[key] {
				told[key] = true
				suspect := 0.0
				if m.Suspect {
					suspect = 1
				}
				out <- prometheus.MustNewConstMetric(g.latency, prometheus.GaugeValue, m.EWMAMillis/1000, r.Service, m.ID)
				out <- prometheus.MustNewConstMetric(g.suspect, prometheus.GaugeValue, suspect, r.Service, m.ID)
				out <- prometheus.MustNewConstMetric(g.part, prometheus.GaugeValue, m.SlowStart, r.Service, m.ID)
			}
		}
	}
}

// watch makes the target's members visible until forget.
func (m *Metrics) watch(t *Target) {
	if m != nil {
		m.gauges.mu.Lock()
		defer m.gauges.mu.Unlock()
		m.gauges.targets[t] = struct{}{}
	}
}

func (m *Metrics) forget(t *Target) {
	if m != nil {
		m.gauges.mu.Lock()
		defer m.gauges.mu.Unlock()
		delete(m.gauges.targets, t)
	}
}
