package load

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func (*generator) testRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func TestUniformScheduleDoesNotDrift(t *testing.T) {
	s := schedule{rate: 3, law: Uniform}
	var at time.Duration
	for range 3_000_001 {
		at = s.next()
	}
	if want := 1_000_000 * time.Second; at != want {
		t.Errorf("request 3,000,001 at 3/s is due at %v, want %v", at, want)
	}
}

func TestPoissonScheduleHasTheRateAndItsSpread(t *testing.T) {
	s := schedule{rate: 100, law: Poisson, rng: rand.New(rand.NewPCG(1, 2))}
	const n = 20_000
	last, sum, squares := time.Duration(0), 0.0, 0.0
	for range n {
		at := s.next()
		gap := (at - last).Seconds()
		last, sum, squares = at, sum+gap, squares+gap*gap
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean-0.01) > 0.0005 || math.Abs(deviation-0.01) > 0.001 {
		t.Errorf("gaps have mean %.5f and deviation %.5f, want 0.01 both", mean, deviation)
	}
}

func TestSeedRepeatsTheCustomers(t *testing.T) {
	plan := func(seed uint64) []visit {
		g := newGenerator(Options{Seed: seed, Mix: Mix{{Browse, 80}, {Checkout, 20}}, MaxInFlight: 1},
			nil, newAssortment([]string{"a", "b", "c", "d"}, false))
		g.planner.keys = "k"
		var visits []visit
		for range 100 {
			visits = append(visits, g.planner.next())
		}
		return visits
	}
	if !reflect.DeepEqual(plan(7), plan(7)) {
		t.Error("one seed, two plans")
	}
	if reflect.DeepEqual(plan(7), plan(8)) {
		t.Error("two seeds, one plan")
	}
}

func TestParseMix(t *testing.T) {
	tests := []struct{ text, want string }{
		{"browse=80,checkout=20", ""},
		{" checkout=1 ", ""},
		{"browse=0,checkout=0.5", ""},
		{"", "a mix is made of"},
		{"browse", "weight of browse"},
		{"browse=-1", "weight of browse"},
		{"browse=NaN", "weight of browse"},
		{"browse=1e999", "weight of browse"},
		{"steal=5", "a mix is made of"},
		{"browse=1,browse=2", "twice"},
		{"browse=0", "asks for nothing"},
	}
	for _, tt := range tests {
		_, err := ParseMix(tt.text)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("ParseMix(%q) = %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestMixPicksByWeight(t *testing.T) {
	m := Mix{{Browse, 3}, {Checkout, 1}}
	for u, want := range map[float64]string{0: Browse, 0.74: Browse, 0.76: Checkout, 0.9999: Checkout, 1: Checkout} {
		if got := m.pick(u); got != want {
			t.Errorf("pick(%v) = %s, want %s", u, got, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{URL: "http://127.0.0.1:1"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"no URL":       func(o *Options) { o.URL = "" },
		"other scheme": func(o *Options) { o.URL = "ftp://x" },
		"rate":         func(o *Options) { o.Rate = -1 },
		"rate NaN":     func(o *Options) { o.Rate = math.NaN() },
		"rate huge":    func(o *Options) { o.Rate = 1e9 },
		"duration":     func(o *Options) { o.Duration = -1 },
		"deadline":     func(o *Options) { o.BrowseDeadline = -1 },
		"in flight":    func(o *Options) { o.MaxInFlight = -1 },
		"arrivals":     func(o *Options) { o.Arrivals = "never" },
	} {
		o := good
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
