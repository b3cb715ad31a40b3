package canary

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// shop is three instances of a service and a canary, asked by three callers.
type shop struct {
	chance           *rand.Rand
	rate             float64 // tries per second that the canary gets, as each of the others does
	fails, badFails  float64 // share of the tries: of the others, of the canary
	takes, badTakes  float64 // seconds a request takes, exponentially spread
	tries            map[[2]string]Tries
	served           map[[2]string]Served
	noise, noiseLeft float64 // a neighbour makes an instance slow for some seconds now and then
	noisy            string
}

var (
	instances = []string{"catalog-1", "catalog-2", "catalog-3", "catalog-v2"}
	callers   = []string{"gateway-1", "gateway-2", "orders-1"}
)

func newShop(seed uint64) *shop {
	return &shop{
		chance: rand.New(rand.NewPCG(seed, 1)), rate: 50, takes: 0.002, badTakes: 0.002,
		tries: map[[2]string]Tries{}, served: map[[2]string]Served{},
	}
}

const step = 250 * time.Millisecond

// pass lets a quarter of a second pass.
func (s *shop) pass() Sample {
	if s.noiseLeft -= step.Seconds(); s.noiseLeft < 0 {
		s.noisy = ""
		if s.chance.Float64() < s.noise*step.Seconds() {
			s.noisy, s.noiseLeft = instances[s.chance.IntN(len(instances))], 3*s.chance.Float64()
		}
	}
	for _, instance := range instances {
		fails, takes := s.fails, s.takes
		if instance == "catalog-v2" {
			fails, takes = s.badFails, s.badTakes
		}
		if instance == s.noisy {
			takes *= 10
		}
		for range s.poisson(s.rate * step.Seconds()) {
			t := [2]string{callers[s.chance.IntN(len(callers))], instance}
			tries := s.tries[t]
			tries.Caller, tries.Instance, tries.Tries = t[0], t[1], tries.Tries+1
			if s.chance.Float64() < fails {
				tries.Failures++
			}
			s.tries[t] = tries
			method := [2]string{instance, []string{"catalog.Get", "catalog.List"}[s.chance.IntN(2)]}
			served := s.served[method]
			served.Instance, served.Method, served.Count = method[0], method[1], served.Count+1
			slower := 1.0
			if method[1] == "catalog.List" {
				slower = 5
			}
			served.Seconds += slower * takes * (0.5 + s.chance.ExpFloat64())
			s.served[method] = served
		}
	}
	var sample Sample
	for _, t := range s.tries {
		sample.Tries = append(sample.Tries, t)
	}
	for _, t := range s.served {
		sample.Served = append(sample.Served, t)
	}
	return sample
}

func (s *shop) poisson(mean float64) (n int) {
	for t := s.chance.ExpFloat64(); t < mean; t += s.chance.ExpFloat64() {
		n++
	}
	return n
}

// judged watches the shop and returns when the canary was found worse; false if
// it was not.
func (s *shop) judged(within time.Duration) (time.Duration, Verdict) {
	j := New("catalog-v2", Options{})
	now := time.Unix(0, 0)
	for t := time.Duration(0); t <= within; t += step {
		if v := j.Observe(now.Add(t), s.pass()); v.Worse {
			return t, v
		}
	}
	return 0, Verdict{}
}

// A canary that is like the others is sent away in less than the promised share
// of the watches, although it is looked at all the time.
func TestFalseAlarms(t *testing.T) {
	const watches = 60
	for name, spoil := range map[string]func(*shop){
		"well":           func(*shop) {},
		"all fail a bit": func(s *shop) { s.fails, s.badFails = 0.02, 0.02 },
		"all fail a lot": func(s *shop) { s.fails, s.badFails = 0.3, 0.3 },
		"noisy machine":  func(s *shop) { s.noise = 0.3 },
		"a little slow":  func(s *shop) { s.badTakes = 1.2 * s.takes },
		"a better one":   func(s *shop) { s.fails, s.takes = 0.1, 2*s.takes },
		"few customers":  func(s *shop) { s.rate, s.fails, s.badFails = 2, 0.05, 0.05 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alarms := 0
			for seed := range uint64(watches) {
				s := newShop(seed)
				spoil(s)
				if at, v := s.judged(time.Minute); v.Worse {
					alarms++
					t.Logf("seed %d after %v: %s", seed, at, v.Why)
				}
			}
			// 1 % for each of two tests is 1 or 2 expected at most; 7 is beyond chance.
			if alarms > 6 {
				t.Errorf("%d false alarms in %d watches of a minute", alarms, watches)
			}
		})
	}
}

func TestBadCanariesAreFound(t *testing.T) {
	const watches = 40
	for name, c := range map[string]struct {
		spoil  func(*shop)
		within time.Duration
	}{
		"half fails":                   {func(s *shop) { s.badFails, s.rate = 0.5, 10 }, 5 * time.Second},
		"half fails, others a bit":     {func(s *shop) { s.badFails, s.fails = 0.5, 0.02 }, 5 * time.Second},
		"2 % fail":                     {func(s *shop) { s.badFails = 0.02 }, 30 * time.Second},
		"twice as slow":                {func(s *shop) { s.badTakes = 2 * s.takes }, 30 * time.Second},
		"twice as slow, noisy machine": {func(s *shop) { s.badTakes, s.noise = 2*s.takes, 0.05 }, 30 * time.Second},
		"20 times as slow, few come":   {func(s *shop) { s.badTakes, s.rate = 20*s.takes, 3 }, 30 * time.Second},
		"2 % fail on top of the usual": {func(s *shop) { s.badFails, s.fails, s.rate = 0.03, 0.01, 150 }, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			missed, longest := 0, time.Duration(0)
			for seed := range uint64(watches) {
				s := newShop(seed)
				c.spoil(s)
				at, v := s.judged(c.within)
				if !v.Worse {
					missed++
				}
				longest = max(longest, at)
			}
			t.Logf("missed %d of %d, the longest took %v", missed, watches, longest)
			if missed > watches/20 {
				t.Errorf("%d of %d were not found within %v", missed, watches, c.within)
			}
		})
	}
}

// The counters of a caller that was restarted begin at zero; what others counted
// before the watch is not the canary's time.
func TestCountersThatStartOver(t *testing.T) {
	j := New("v2", Options{})
	see := func(mine, others Tries) {
		mine.Caller, mine.Instance, others.Caller, others.Instance = "c", "v2", "c", "v1"
		j.Observe(time.Unix(0, 0), Sample{Tries: []Tries{mine, others}})
	}
	see(Tries{Tries: 5}, Tries{Tries: 1000, Failures: 500})
	see(Tries{Tries: 6, Failures: 1}, Tries{Tries: 1010, Failures: 501})
	see(Tries{Tries: 1}, Tries{Tries: 2})
	see(Tries{Tries: 3}, Tries{Tries: 4})
	if want := (table{canary: 8, canaryFailed: 1, others: 12, othersFailed: 1}); j.errors != want {
		t.Errorf("%+v, want %+v", j.errors, want)
	}
}

func TestFisher(t *testing.T) {
	for _, c := range []struct {
		failed, n, othersFailed, others uint64
		want                            float64
	}{
		{3, 4, 1, 4, 17. / 70}, // the lady tasting tea
		{4, 4, 0, 4, 1. / 70},
		{0, 10, 5, 10, 1},
		{5, 10, 0, 30, 252. / 658008},
	} {
		if got := fisher(c.failed, c.n, c.othersFailed, c.others); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if got := coin(11, 11); math.Abs(got-1./2048) > 1e-12 {
		t.Errorf("eleven heads: %v", got)
	}
	if got := coin(0, 5); math.Abs(got-1) > 1e-12 {
		t.Errorf("anything: %v", got)
	}
}
