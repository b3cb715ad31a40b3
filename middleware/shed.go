package middleware

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/services/fault"
)

// ShedSettings configures a Shed. Its zero value finds the limit by itself.
type ShedSettings struct {
	Fixed   int // requests at once, never adapted; 0: find it
	Initial int // where an adaptive limit begins and what it returns to; 32 if 0
	Max     int // of an adaptive limit; 1000 if 0
}

// shedRetryAfter is about how long a limit takes to find its place. REST rounds
// it up to a second.
const shedRetryAfter = 250 * time.Millisecond

// What the priorities may fill: a share of the limit, and some places for bursts,
// which a share of a small limit has no room for. For example: orders at 60 % of
// 4 workers' capacity, 2.4 at once, are 10 and more about once in a thousand
// times, but never 20.
var (
	shares   = [priorities]float64{.5, .9, 1.2}
	reserves = [priorities]float64{0, 2, 8}
)

// Shed bounds the requests that an instance works on at once, and refuses the
// rest before they cost anything. The limit is found by a gradient (see
// gradient); all methods share it.
//
// A request is admitted while fewer requests of its own or a higher priority
// are in flight than its priority's share of the limit: pages never count
// against orders, background work counts against nobody. Each class alone still
// gets all of the capacity: the gradient raises the limit until its share has a
// little queue.
//
// A request whose caller will have left before its turn comes is refused at once:
// waiting in vain helps nobody, and its caller can still ask another instance.
//
// Admission takes no lock: the three counts are in one atomic word.
type Shed struct {
	flight   atomic.Int64 // requests in flight, counts[priority] in 21 bits each
	caps     [priorities]atomic.Int64
	refused  [priorities]atomic.Int64
	fixed    bool
	gradient gradient
}

// NewShed returns a Shed for all methods of one instance.
func NewShed(s ShedSettings) *Shed {
	if s.Initial <= 0 {
		s.Initial = 32
	}
	if s.Max <= 0 {
		s.Max = 1000
	}
	shed := &Shed{fixed: s.Fixed > 0}
	shed.gradient.begin(s, shed.setCaps)
	return shed
}

// setCaps makes admission obey the limit, and the probe where there is one.
func (s *Shed) setCaps(limit float64, p probe) {
	for rank := range priorities {
		most := math.Ceil(limit*shares[rank]) + reserves[rank]
		if p.places > 0 && rank <= p.rank {
			most = min(most, p.places)
		}
		s.caps[rank].Store(max(int64(most), 1))
	}
}

// countBits is the width of one count in flight: two million at once.
const countBits = 21

func unit(rank int) int64 { return 1 << (countBits * (priorities - 1 - rank)) }

// atLeast counts those in flight of the rank or a higher one.
func atLeast(rank int, flight int64) (n int64) {
	for r := priorities - 1; r >= rank; r-- {
		n += flight & (1<<countBits - 1)
		flight >>= countBits
	}
	return n
}

// ticket is the admission of one request.
type ticket struct {
	rank   int
	began  time.Duration // on the gradient's clock
	around int64         // in flight then, this one included
}

// admit lets a request in that must be answered within a time; 0 is any.
func (s *Shed) admit(p Priority, within time.Duration) (ticket, bool) {
	rank := p.rank()
	most := s.caps[rank].Load()
	if within > 0 && s.gradient.expect(atLeast(0, s.flight.Load())+1) > within {
		return ticket{}, s.refuse(rank)
	}
	// Looking first: those who are refused must not be in the way of others.
	if atLeast(rank, s.flight.Load()) >= most {
		return ticket{}, s.refuse(rank)
	}
	flight := s.flight.Add(unit(rank))
	if atLeast(rank, flight) > most {
		s.flight.Add(-unit(rank))
		return ticket{}, s.refuse(rank)
	}
	return ticket{rank, s.gradient.now(), atLeast(0, flight)}, true
}

func (s *Shed) refuse(rank int) bool {
	s.refused[rank].Add(1)
	s.gradient.refused(rank)
	return false
}

func (s *Shed) release(t ticket, m *methodTimes, err error) {
	s.flight.Add(-unit(t.rank))
	// Only work that was done tells how long work takes; waiting in vain does too.
	switch {
	case s.fixed:
		return
	case err == nil:
	case fault.CodeOf(err) == fault.Deadline:
		s.gradient.vain.Add(1)
	default:
		return
	}
	s.gradient.sample(m, t)
}

// errShed is made once: refusing must not cost what it is to save.
var errShed = &fault.Error{
	Code:       fault.Overloaded,
	Message:    "the instance is working on as much as it can; come back in a moment",
	RetryAfter: shedRetryAfter,
}

// Middleware bounds the named method together with all others. What it refuses
// ends with fault.Overloaded and a RetryAfter. A nil Shed bounds nothing.
func (s *Shed) Middleware(method string) endpoint.Middleware { return s.middleware(method, false) }

// middleware heeds Incomplete where the method assembles its answers.
func (s *Shed) middleware(method string, assembles bool) endpoint.Middleware {
	if s == nil {
		return through
	}
	gate := s.Gate(method)
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (response any, err error) {
			pass, err := gate.Admit(PriorityFrom(ctx), s.within(ctx))
			if err != nil {
				return nil, err
			}
			err = errPanicked
			if assembles {
				mind := &mindContext{Context: ctx}
				ctx = mind
				defer func() {
					if mind.shed.Load() {
						s.gradient.incomplete.Add(1)
					}
					pass.Done(err)
				}()
			} else {
				defer func() { pass.Done(err) }()
			}
			response, err = next(ctx, request)
			return response, err
		}
	}
}

// within is the time until the deadline of ctx, at least a nanosecond; 0 without
// one, and while it does not count because the time of a request is not known.
func (s *Shed) within(ctx context.Context) time.Duration {
	if s.gradient.rate.Load() == 0 {
		return 0
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline), 1)
}

// ShedReport is the state of a Shed.
type ShedReport struct {
	Limit    float64            `json:"limit"`
	Adaptive bool               `json:"adaptive"`
	Probing  bool               `json:"probing"`
	Most     map[string]int64   `json:"most"`      // places, by priority
	InFlight map[string]int64   `json:"in_flight"` // by priority
	Shed     map[string]int64   `json:"shed"`      // refused since the start, by priority
	Unloaded map[string]float64 `json:"unloaded_ms"`
}

// Report returns the state of now.
func (s *Shed) Report() ShedReport {
	r := ShedReport{
		Limit: s.gradient.limit(), Adaptive: !s.fixed, Probing: s.gradient.probing.Load(),
		Most: map[string]int64{}, InFlight: map[string]int64{}, Shed: map[string]int64{}, Unloaded: s.gradient.unloaded(),
	}
	flight := s.flight.Load()
	for rank, name := range priorityNames {
		r.Most[name] = s.caps[rank].Load()
		r.InFlight[name] = atLeast(rank, flight) - atLeast(rank+1, flight)
		r.Shed[name] = s.refused[rank].Load()
	}
	return r
}

// ServeHTTP shows the Report as JSON.
func (s *Shed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s.Report()) // the reader may have left
}

var (
	shedTotal = prometheus.NewDesc("kitmesh_server_shed_total",
		"Requests refused because the instance was at its limit.", []string{"priority"}, nil)
	shedLimit = prometheus.NewDesc("kitmesh_server_concurrency_limit",
		"Requests that the instance works on at once.", nil, nil)
	shedFlight = prometheus.NewDesc("kitmesh_server_concurrency",
		"Requests in flight, as the limit counts them.", []string{"priority"}, nil)
)

// Describe makes a Shed a prometheus.Collector.
func (s *Shed) Describe(to chan<- *prometheus.Desc) {
	to <- shedTotal
	to <- shedLimit
	to <- shedFlight
}

// Collect implements prometheus.Collector.
func (s *Shed) Collect(to chan<- prometheus.Metric) {
	r := s.Report()
	to <- prometheus.MustNewConstMetric(shedLimit, prometheus.GaugeValue, r.Limit)
	for _, name := range priorityNames {
		to <- prometheus.MustNewConstMetric(shedTotal, prometheus.CounterValue, float64(r.Shed[name]), name)
		to <- prometheus.MustNewConstMetric(shedFlight, prometheus.GaugeValue, float64(r.InFlight[name]), name)
	}
}
