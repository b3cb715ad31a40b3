// Package load drives the shop with customers who do not wait for each other:
// an open-loop generator whose requests start on schedule however slow the
// answers are, and whose latencies count from the intended start. A stalled
// shop therefore shows its whole stall instead of pausing its own measurement
// (coordinated omission).
package load

import (
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Arrivals is the law by which requests are spread over time.
type Arrivals string

// The laws of arrival.
const (
	Uniform Arrivals = "uniform" // one request every 1/rate
	Poisson Arrivals = "poisson" // independent customers: exponential gaps
)

// The kinds of customer in a Mix.
const (
	Browse   = "browse"   // a product page, sometimes a listing
	Checkout = "checkout" // an order with a fresh Idempotency-Key
)

// Options say what to do to which shop. The zero value of a field means its
// default, except where it says otherwise.
type Options struct {
	URL         string        // the shop's front door, http or https
	Rate        float64       // requests per second; 100
	Duration    time.Duration // of the schedule; 0 goes on until ctx ends
	Warmup      time.Duration // sent but not counted, before Duration; 0
	Wait        time.Duration // for the first answer of the shop; 0 waits until ctx ends
	Mix         Mix           // browse=80,checkout=20
	Arrivals    Arrivals      // Uniform
	Seed        uint64        // of arrivals and choices; 0 picks one
	MaxInFlight int           // requests at the same time; 2000

	BrowseDeadline   time.Duration // from the intended start; 1 s
	CheckoutDeadline time.Duration // from the intended start; 3 s
	LateAfter        time.Duration // a request sent later than this counts as late; 10 ms

	Only           []string  // the products customers look at and order; empty: all
	IncludeLimited bool      // order SKUs that are limited or sold out too
	VerifyOrders   bool      // read every acknowledged order back after the run
	Probes         float64   // share of customers who test a promise: buyers use a key again, browsers read an order; 0
	History        io.Writer // one JSON line per request; nil writes none
	Tick           func(Tick)

	Begin func(start time.Time) // called once, before the first request is due
	Each  func(Answer)          // called with every answer, the warm-up's too, from many goroutines
}

const (
	defaultRate        = 100
	defaultMaxInFlight = 2000
	maxRate            = 100_000
)

// withDefaults returns o with its defaults filled in, or what is wrong with it
// in one sentence.
func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return o, fmt.Errorf("the shop's URL %q is not an http or https URL", o.URL)
	}
	o.URL = strings.TrimRight(o.URL, "/")
	setDefault(&o.Rate, defaultRate)
	setDefault(&o.MaxInFlight, defaultMaxInFlight)
	setDefault(&o.Arrivals, Uniform)
	setDefault(&o.BrowseDeadline, time.Second)
	setDefault(&o.CheckoutDeadline, 3*time.Second)
	setDefault(&o.LateAfter, 10*time.Millisecond)
	if len(o.Mix) == 0 {
		o.Mix = Mix{{Browse, 80}, {Checkout, 20}}
	}
	switch {
	case math.IsNaN(o.Rate) || o.Rate <= 0 || o.Rate > maxRate:
		return o, fmt.Errorf("the rate must be above 0 and at most %d requests per second", maxRate)
	case o.Duration < 0 || o.Warmup < 0 || o.Wait < 0:
		return o, fmt.Errorf("durations must not be negative")
	case o.BrowseDeadline < 0 || o.CheckoutDeadline < 0:
		return o, fmt.Errorf("deadlines must be above 0")
	case o.MaxInFlight < 0:
		return o, fmt.Errorf("the number of requests in flight must be above 0")
	case !(o.Probes >= 0 && o.Probes <= 1): // NaN is neither
		return o, fmt.Errorf("the share of probes is 0 to 1, not %g", o.Probes)
	case o.Arrivals != Uniform && o.Arrivals != Poisson:
		return o, fmt.Errorf("arrivals are %q or %q, not %q", Uniform, Poisson, o.Arrivals)
	}
	return o, nil
}

// Validate reports in one sentence what is wrong with o, before anything runs.
func (o Options) Validate() error {
	_, err := o.withDefaults()
	return err
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) deadline(op string) time.Duration {
	if op == Checkout {
		return o.CheckoutDeadline
	}
	return o.BrowseDeadline
}

// Share is the weight of one kind of customer.
type Share struct {
	Op     string
	Weight float64
}

// Mix is how customers divide into kinds; weights need not add up to 100.
type Mix []Share

// ParseMix reads "browse=80,checkout=20".
func ParseMix(text string) (Mix, error) {
	var mix Mix
	total := 0.0
	for part := range strings.SplitSeq(text, ",") {
		op, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		if op != Browse && op != Checkout {
			return nil, fmt.Errorf("a mix is made of %s=N and %s=N, not %q", Browse, Checkout, part)
		}
		weight, err := strconv.ParseFloat(number, 64)
		if err != nil || weight < 0 || math.IsInf(weight, 0) || math.IsNaN(weight) {
			return nil, fmt.Errorf("the weight of %s must be a number of 0 or more, not %q", op, number)
		}
		if slices.ContainsFunc(mix, func(s Share) bool { return s.Op == op }) {
			return nil, fmt.Errorf("the mix names %s twice", op)
		}
		mix = append(mix, Share{op, weight})
		total += weight
	}
	if total <= 0 {
		return nil, fmt.Errorf("the mix %q asks for nothing", text)
	}
	return mix, nil
}

// pick returns the kind at the point u (0 to 1) of the mix.
func (m Mix) pick(u float64) string {
	total := 0.0
	for _, s := range m {
		total += s.Weight
	}
	at := u * total
	for _, s := range m {
		if at < s.Weight {
			return s.Op
		}
		at -= s.Weight
	}
	return m[len(m)-1].Op
}
