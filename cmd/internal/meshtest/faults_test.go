package meshtest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
)

var update = flag.Bool("update", false, "TestFaults writes docs/faults.md")

// The service under test is the leaf that pages ask most. With 25 ms of work on
// three workers each, three instances do 360 calls a second, which two cores
// carry easily: 60 % of it is the same load on any machine.
const (
	faultService = "pricing"
	faultVictim  = "pricing-1"

	faultWork    = 25 * time.Millisecond
	faultWorkers = 3
	faultLoad    = 0.6 // of the capacity
	// Of ten browsing customers nine see a product, whose page asks pricing twice
	// (shipping does too), and one a listing, which asks once.
	callsPerPage = 0.9*2 + 0.1
)

// faultRate is the load in pages per second.
func faultRate() float64 {
	capacity := 3 * faultWorkers / faultWork.Seconds()
	return faultLoad * capacity / callsPerPage
}

// faults are what befalls one of three instances.
var faults = []struct {
	name    string
	on, off []string // commands of kitmesh
	tries   bool     // tries are judged
}{
	{name: "paused", on: []string{"pause", "pricing/1"}, off: []string{"resume", "pricing/1"}},
	{name: "slow, +200 ms", on: []string{"slow", "pricing/1", "--latency", "200ms"}, off: []string{"slow", "pricing/1", "--clear"}},
	{name: "half-failing", on: []string{"fail", "pricing/1", "--rate", "0.5"}, off: []string{"fail", "pricing/1", "--clear"}, tries: true},
}

// TestFaults hurts one of three instances, in the mesh and in the same shop with
// stock go-kit, and prints what customers saw as one table. KITMESH_TEST_FAULTS
// says how long each phase lasts; make test-faults asks for a minute.
func TestFaults(t *testing.T) {
	text := os.Getenv("KITMESH_TEST_FAULTS")
	if text == "" {
		t.Skip("set KITMESH_TEST_FAULTS, or run make test-faults: it takes half an hour and a machine with nothing else to do")
	}
	phase, err := time.ParseDuration(text)
	if err != nil || phase < 3*time.Second {
		t.Fatalf("KITMESH_TEST_FAULTS=%q: say how long a phase lasts, 3s or longer", text)
	}
	var rows []row
	for _, f := range faults {
		for _, stack := range []string{"mesh", "stock"} {
			t.Run(f.name+" "+stack, func(t *testing.T) {
				// A mesh of its own: breakers of the stock one remember for a minute.
				m := up(t, "faults", "--stack", stack, "--rate", "0", "--zipkin", "embedded",
					"--work", faultWork.String(), "--workers", fmt.Sprint(faultWorkers))
				r := m.suffer(f.on, f.off, phase)
				r.fault, r.stack, r.triesJudged = f.name, stack, f.tries
				t.Log(r)
				t.Logf("during: %d pages lack a part, failures %v, late %d", r.during.Partial, r.during.Failures, r.during.Late)
				rows = append(rows, r)
			})
		}
	}
	t.Logf("\n%s", table(rows))
	for _, r := range rows { // the stock rows are there to be compared with
		if r.stack == "mesh" && !r.held() {
			t.Errorf("%s: %s", r.fault, r.goals())
		}
	}
	if *update && len(rows) == 2*len(faults) {
		if err := os.WriteFile("../../../docs/faults.md", []byte(page(rows, phase)), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// suffer loads the mesh through three phases: before the fault, with it, after.
func (m *mesh) suffer(on, off []string, phase time.Duration) row {
	m.t.Helper()
	eventually(m.t, 30*time.Second, "everybody is there", func() error { return m.allPassing(3) })
	victim := m.address(faultVictim)
	var r row
	r.before = m.load(phase, min(phase/2, 10*time.Second), nil)

	start := m.counters(faultService)
	var later counters
	r.during = m.load(phase, 0, func() {
		m.run(on...)
		time.Sleep(time.Second) // what the goal gives the mesh to notice
		later = m.counters(faultService)
	})
	end := m.counters(faultService)
	r.tries, r.hedges = end.tries(start)
	r.share = end.share(later, victim)

	r.after = m.load(phase, 0, func() { m.run(off...) })
	return r
}

// load sends customers for a phase after a warm-up, calls meanwhile a little
// after their start, and returns what they saw.
func (m *mesh) load(phase, warmup time.Duration, meanwhile func()) load.Result {
	m.t.Helper()
	type outcome struct {
		load.Result
		error
	}
	ended := make(chan outcome, 1)
	go func() {
		r, err := load.Run(m.t.Context(), load.Options{
			URL: m.state.Gateway, Rate: faultRate(), Duration: phase, Warmup: warmup,
			Mix: load.Mix{{Op: load.Browse, Weight: 1}}, Wait: 10 * time.Second,
		})
		ended <- outcome{r, err}
	}()
	if meanwhile != nil {
		time.Sleep(500 * time.Millisecond) // so that the blow meets a shop full of customers
		meanwhile()
	}
	o := <-ended
	if o.error != nil {
		m.t.Fatal(o.error)
	}
	return o.Result
}

// address is where an instance serves.
func (m *mesh) address(id string) string {
	m.t.Helper()
	for _, i := range m.status().Instances {
		if i.ID == id {
			return i.RPC
		}
	}
	m.t.Fatalf("there is no %s", id)
	return ""
}

// TestFaultRows: a table whose goals cannot be missed shows nothing.
func TestFaultRows(t *testing.T) {
	good := func() row {
		r := row{fault: "half-failing", stack: "mesh", triesJudged: true, tries: 1.02, share: 0.02}
		for _, p := range []*load.Result{&r.before, &r.during, &r.after} {
			p.Requests, p.Success, p.P99 = 1000, 1, 10
		}
		r.during.P99 = 20
		return r
	}
	if r := good(); !r.held() || strings.Contains(r.goals(), "miss") {
		t.Errorf("%s: want every goal held", r)
	}
	for name, spoil := range map[string]func(*row){
		"success":      func(r *row) { r.during.Success = 0.999 },
		"whole":        func(r *row) { r.during.Partial = 1 },
		"p99":          func(r *row) { r.during.P99 = 20.1 },
		"tries":        func(r *row) { r.tries = 1.021 },
		"victim":       func(r *row) { r.share = 0.021 },
		"inconclusive": func(r *row) { r.before.Late = 2 },
		"baseline":     func(r *row) { r.before.Partial = 1 },
	} {
		r := good()
		if spoil(&r); r.held() {
			t.Errorf("%s: %s holds", name, r)
		}
	}
	r := good()
	if r.triesJudged, r.tries = false, 3; !r.held() {
		t.Errorf("%s: tries are not judged here", r)
	}
}
