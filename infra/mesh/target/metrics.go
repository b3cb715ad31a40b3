package target

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the mesh does beyond the calls themselves. One Metrics
// serves all targets of a process.
type Metrics struct {
	retries     *prometheus.CounterVec
	hedges      *prometheus.CounterVec
	throttled   *prometheus.CounterVec
	transitions *prometheus.CounterVec
	ejections   *prometheus.CounterVec
	suspicions  *prometheus.CounterVec
	instances   *prometheus.GaugeVec
	ejected     *prometheus.GaugeVec
	gauges      *gauges
}

// NewMetrics registers the metrics with r and returns them. Registering twice
// with the same r panics, as client_golang does.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		retries:     counter("kitmesh_client_retries_total", "Tries beyond the first.", "target"),
		hedges:      counter("kitmesh_client_hedges_total", "Second tries of slow calls, by whether they answered first.", "target", "won"),
		throttled:   counter("kitmesh_client_throttled_total", "Calls refused by their caller because the instances refuse so many.", "target"),
		transitions: counter("kitmesh_breaker_transitions_total", "Changes of a breaker's state.", "target", "instance", "to"),
		ejections:   counter("kitmesh_ejections_total", "Times an instance was taken out of rotation by its caller, and why: breaker, rate or stall.", "target", "instance", "reason"),
		ejected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kitmesh_ejected_instances", Help: "Instances that are out of rotation now.",
		}, []string{"target"}),
		suspicions: counter("kitmesh_suspicions_total", "Times an instance held calls and was silent while others answered.", "target", "instance"),
		gauges:     newGauges(),
		instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kitmesh_target_instances", Help: "Instances known to the caller.",
		}, []string{"target"}),
	}
	r.MustRegister(m.retries, m.hedges, m.throttled, m.transitions, m.ejections, m.suspicions, m.instances, m.ejected, m.gauges)
	return m
}

// bound are the metrics of one target with their labels looked up once.
type bound struct {
	retries    prometheus.Counter
	hedgeWon   prometheus.Counter
	hedgeLost  prometheus.Counter
	throttled  prometheus.Counter
	instances  prometheus.Gauge
	ejected    prometheus.Gauge
	ejection   func(instance string, why reason)
	transition func(instance, to string)
	suspect    func(instance string)
}

// bind of a nil Metrics counts into nothing, so that callers need not ask.
func (m *Metrics) bind(target string) bound {
	if m == nil {
		return bound{
			retries:    prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"}),
			hedgeWon:   prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"}),
			hedgeLost:  prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"}),
			throttled:  prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"}),
			instances:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "unused"}),
			ejected:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "unused"}),
			transition: func(string, string) {},
			ejection:   func(string, reason) {},
			suspect:    func(string) {},
		}
	}
	return bound{
		retries:   m.retries.WithLabelValues(target),
		hedgeWon:  m.hedges.WithLabelValues(target, "true"),
		throttled: m.throttled.WithLabelValues(target),
		hedgeLost: m.hedges.WithLabelValues(target, "false"),
		instances: m.instances.WithLabelValues(target),
		ejected:   m.ejected.WithLabelValues(target),
		ejection: func(instance string, why reason) {
			m.ejections.WithLabelValues(target, instance, why.String()).Inc()
		},
		suspect: func(instance string) { m.suspicions.WithLabelValues(target, instance).Inc() },
		transition: func(instance, to string) {
			m.transitions.WithLabelValues(target, instance, to).Inc()
		},
	}
}
