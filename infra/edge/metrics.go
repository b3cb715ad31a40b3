package edge

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the edge counts of the public's requests.
type metrics struct {
	inFlight prometheus.Gauge
	seconds  prometheus.Histogram
	tries    prometheus.Counter
	requests *prometheus.CounterVec
	byStatus sync.Map // int to prometheus.Counter: labels are looked up once
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kitmesh_edge_requests_total", Help: "Requests answered at the front door; 0: the client left or was cut off.",
	}, []string{"status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kitmesh_edge_in_flight", Help: "Requests under way.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kitmesh_edge_request_seconds", Help: "Time from the headers to the end of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		tries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kitmesh_edge_tries_total", Help: "Instances asked.",
		}),
	}
	r.MustRegister(m.requests, m.inFlight, m.seconds, m.tries)
	return m
}

func (m *metrics) done(status int, took time.Duration, tries int) {
	m.seconds.Observe(took.Seconds())
	m.tries.Add(float64(tries))
	counter, known := m.byStatus.Load(status)
	if !known {
		counter, _ = m.byStatus.LoadOrStore(status, m.requests.WithLabelValues(strconv.Itoa(status)))
	}
	counter.(prometheus.Counter).Inc()
}
