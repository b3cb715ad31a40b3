package middleware

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/services/fault"
)

// codeOK is the code label of a call that succeeded.
const codeOK = "ok"

// latencyBuckets reach from the service time of a leaf to the longest deadline, in seconds.
var latencyBuckets = []float64{
	.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// Metrics counts and times calls on both sides. All labels are bound when a
// middleware is made, none during a call.
type Metrics struct {
	serverRequests *prometheus.CounterVec   // method, code
	serverSeconds  *prometheus.HistogramVec // method
	serverInFlight *prometheus.GaugeVec     // method
	clientRequests *prometheus.CounterVec   // target, method, code
	clientSeconds  *prometheus.HistogramVec // target, method
	guardOutcomes  *prometheus.CounterVec   // command, outcome
}

// NewMetrics registers the collectors with r, or takes over those that are
// registered already. A nil r leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return register(r, prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, labels))
	}
	return &Metrics{
		serverRequests: counter("kitmesh_server_requests_total", `Requests served, by fault code or "ok".`, "method", "code"),
		serverSeconds:  seconds("kitmesh_server_request_seconds", "Time to serve a request.", "method"),
		serverInFlight: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kitmesh_server_in_flight", Help: "Requests being served."}, []string{"method"})),
		clientRequests: counter("kitmesh_client_requests_total", `Calls made, retries not counted, by fault code or "ok".`, "target", "method", "code"),
		clientSeconds:  seconds("kitmesh_client_request_seconds", "Time of a call, its retries included.", "target", "method"),
		guardOutcomes:  counter("kitmesh_guard_outcomes_total", "Calls through a hystrix command, by outcome.", "command", "outcome"),
	}
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := are.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic("middleware: metrics: " + err.Error()) // two collectors of one name: a bug at start-up
	}
	return c
}

// started is where clock begins.
var started = time.Now()

// clock is half the price of time.Now, which reads the date, too.
func clock() time.Duration { return time.Since(started) }

// outcomes are the counters of one method, one for each code.
type outcomes struct {
	ok    prometheus.Counter
	fault map[fault.Code]prometheus.Counter // only read after it was made
}

func bind(vec *prometheus.CounterVec, labels ...string) outcomes {
	o := outcomes{fault: make(map[fault.Code]prometheus.Counter)}
	with := func(code string) prometheus.Counter {
		return vec.WithLabelValues(append(slices.Clip(labels), code)...)
	}
	o.ok = with(codeOK)
	for _, c := range fault.Codes() {
		o.fault[c] = with(string(c))
	}
	return o
}

func (o outcomes) count(err error) {
	if err == nil {
		o.ok.Inc()
		return
	}
	c, known := o.fault[fault.CodeOf(err)]
	if !known {
		c = o.fault[fault.Internal]
	}
	c.Inc()
}

// Server measures the serving of a method.
func (m *Metrics) Server(method string) endpoint.Middleware {
	requests := bind(m.serverRequests, method)
	seconds := m.serverSeconds.WithLabelValues(method)
	inFlight := m.serverInFlight.WithLabelValues(method)
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (response any, err error) {
			begin := clock()
			inFlight.Inc()
			err = errPanicked
			defer func() {
				inFlight.Dec()
				seconds.Observe((clock() - begin).Seconds())
				requests.count(err)
			}()
			response, err = next(ctx, request)
			return response, err
		}
	}
}

// Client measures calls of a target's method. Put it outside the retry: it
// counts what the caller sees.
func (m *Metrics) Client(target, method string) endpoint.Middleware {
	requests := bind(m.clientRequests, target, method)
	seconds := m.clientSeconds.WithLabelValues(target, method)
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (response any, err error) {
			begin := clock()
			err = errPanicked
			defer func() {
				seconds.Observe((clock() - begin).Seconds())
				requests.count(err)
			}()
			response, err = next(ctx, request)
			return response, err
		}
	}
}

// Guard returns what HystrixSettings.Observe of the named command wants.
func (m *Metrics) Guard(command string) func(Outcome) {
	bound := make(map[Outcome]prometheus.Counter)
	for _, o := range Outcomes() {
		bound[o] = m.guardOutcomes.WithLabelValues(command, string(o))
	}
	return func(o Outcome) {
		if c, known := bound[o]; known {
			c.Inc()
		}
	}
}
