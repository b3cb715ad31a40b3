package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
)

// promiseTests is the share of customers who use a key again or read an order
// back: what the audit needs to judge promises.
const promiseTests = 0.1

// Pricing is asked most often, so it is what is full first. A product page (nine
// of ten that browse) asks it twice, once through shipping; a listing once; an
// order twice, for the goods and through shipping. Who reads an order back does
// not ask it; who uses a key again mostly does not.
const (
	quotesPerBrowse   = .9*2 + .1
	quotesPerCheckout = 2.
)

// Capacity is how many requests of the mix a mesh whose service time is known
// can do in a second; 0 where it is not.
func (e Experiment) Capacity() float64 {
	if e.Mesh.Work <= 0 || e.Mesh.Workers <= 0 {
		return 0
	}
	quotes := float64(e.Mesh.Instances*e.Mesh.Workers) / e.Mesh.Work.Seconds()
	browse, checkout := e.Load.Mix[load.Browse], e.Load.Mix[load.Checkout]
	perRequest := (browse*quotesPerBrowse + checkout*quotesPerCheckout) / (browse + checkout) * (1 - promiseTests)
	return quotes / perRequest
}

// needsCapacity says whether a rate or a probe speaks of it.
func (e Experiment) needsCapacity() bool {
	for _, p := range e.Hypothesis.Probes {
		if p.Metric == "goodput_of_capacity" {
			return true
		}
	}
	return e.Load.Rate.Capacity > 0 || e.Load.FaultRate.Capacity > 0
}

// The ramp by which an unknown capacity is measured.
const (
	rampFrom = 20.  // requests per second
	rampBy   = 1.25 // from step to step
	rampMost = 5000.
	rampStep = 3 * time.Second
	rampSlow = 4. // times the p99 of the first step
)

// ramp raises the load until the shop fails, grows slow or the generator itself
// falls behind, and returns the last rate that was carried.
func ramp(ctx context.Context, o load.Options, run Loader, say func(string)) (float64, error) {
	carried, first := 0.0, 0.0
	for rate := rampFrom; rate <= rampMost; rate *= rampBy {
		say(fmt.Sprintf("measuring the capacity: %.0f requests/s", rate))
		o.Rate, o.Duration, o.Warmup = rate, rampStep, rampStep/3
		r, err := run(ctx, o)
		if err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if first == 0 {
			first = r.P99
		}
		if r.Success < .999 || r.Inconclusive() || r.P99 > rampSlow*max(first, 5) {
			break
		}
		carried = rate
	}
	if carried == 0 {
		return 0, errors.New("the mesh does not carry even 20 requests/s: look at kitmesh status, or state load.rate as a number")
	}
	return carried, nil
}

// perSecond is a rate in requests per second, where the capacity is known.
func (r Rate) perSecond(capacity float64) float64 {
	if r.Capacity > 0 {
		return r.Capacity * capacity
	}
	return r.PerSecond
}
