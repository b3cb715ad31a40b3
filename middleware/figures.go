package middleware

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix/rolling"
)

// samples is how many durations a command remembers for its percentiles.
const samples = 1000

// figures are what the calls through one Hystrix command came to in the last
// 10 s. They are booked by the calls themselves: hystrix-go's own know nothing
// of our bulkhead and fallbacks, and its CircuitBreaker.IsOpen, the only way to
// learn a circuit's state, opens the circuit. Reading figures changes nothing.
type figures struct {
	outcomes map[Outcome]*rolling.Number // read-only map
	busiest  *rolling.Number             // most calls at once
	open     atomic.Bool                 // the circuit refused the last call it decided on

	mu   sync.Mutex
	took [samples]time.Duration // a ring
	n    int                    // durations ever booked
}

func newFigures() *figures {
	f := &figures{outcomes: map[Outcome]*rolling.Number{}, busiest: rolling.NewNumber()}
	for _, o := range Outcomes() {
		f.outcomes[o] = rolling.NewNumber()
	}
	return f
}

// book counts an outcome. A refusal and a success are also what tells the
// circuit's state: hystrix-go opens it with the first and closes it with the
// second.
func (f *figures) book(o Outcome) {
	f.outcomes[o].Increment(1)
	switch o {
	case ShortCircuited:
		f.open.Store(true)
	case Success:
		f.open.Store(false)
	}
}

// ran notes how long a call took that was let through.
func (f *figures) ran(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.took[f.n%samples] = d
	f.n++
}

// sum adds up outcomes.
func (f *figures) sum(now time.Time, outcomes ...Outcome) (n int) {
	for _, o := range outcomes {
		n += int(f.outcomes[o].Sum(now))
	}
	return n
}

// latency is the mean in milliseconds, and percentiles by the names that
// dashboards give them.
func (f *figures) latency() (mean int64, percentiles map[string]int64) {
	f.mu.Lock()
	sorted := slices.Clone(f.took[:min(f.n, samples)])
	f.mu.Unlock()
	slices.Sort(sorted)
	percentiles = make(map[string]int64, 9)
	for name, p := range map[string]float64{
		"0": 0, "25": .25, "50": .5, "75": .75, "90": .9, "95": .95, "99": .99, "99.5": .995, "100": 1,
	} {
		percentiles[name] = 0
		if len(sorted) > 0 {
			percentiles[name] = sorted[int(p*float64(len(sorted)-1)+.5)].Milliseconds()
		}
	}
	var all time.Duration
	for _, d := range sorted {
		all += d
	}
	return (all / time.Duration(max(len(sorted), 1))).Milliseconds(), percentiles
}
