package report_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// fabricated is a run that never happened, from a seed: one instance of catalog
// is paused from 0:25 to 0:45. On the mesh nobody notices much; on the stock
// stack every third request waits for its deadline.
func fabricated(stack string) chaos.Journal {
	rnd := rand.New(rand.NewPCG(42, uint64(len(stack)))) //nolint:gosec // it shall repeat
	began := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	j := chaos.Journal{
		Version: 1, Name: "pause-one", Title: "Pause one catalog instance for 20 s", Stack: stack, Target: "local", Seed: 42,
		Description: "SIGSTOP: the process keeps its connections and says nothing. Customers must not notice.",
		Began:       began, Ended: began.Add(60 * time.Second), Rate: 240, Capacity: 400,
		Command: "kitmesh chaos run pause-one --stack " + stack + " --seed 42", Zipkin: "http://127.0.0.1:9411",
		Audit: &chaos.Audit{Orders: 2412, Checks: []string{"durability", "no phantom orders", "one effect per key", "stock", "money"}, Skipped: []string{"order of events: the broker keeps no history here"}},
	}
	bad := stack == "stock"
	for s := range 60 {
		j.Seconds = append(j.Seconds, second(rnd, s, bad))
	}
	for _, p := range []struct {
		name     string
		from, to float64
	}{{"warm-up", 0, 10}, {"baseline", 10, 25}, {"fault", 25, 45}, {"recovery", 45, 60}} {
		j.Phases = append(j.Phases, chaos.Phase{Name: p.name, From: p.from, To: p.to, Stats: statsOf(j.Seconds, p.from, p.to)})
	}
	j.Events = []chaos.Event{
		{At: 25, Kind: "phase", Name: "fault"},
		{At: 25.1, Kind: "action", Name: "pause", Target: "catalog-2", Text: "SIGSTOP to pid 4711"},
		{At: 25.2, Kind: "mesh", Name: "suspect", Target: "catalog-2", Text: "silent for 40 ms"},
		{At: 45, Kind: "heal", Name: "resume", Target: "catalog-2", Text: "SIGCONT"},
	}
	fault := j.Phases[2].Stats
	j.Probes = []chaos.ProbeResult{
		{Name: "reads", Says: "success of browse, in the fault", Value: fault.Success, Text: fmt.Sprintf("%.3f %% of %d", 100*fault.Success, fault.Requests), Min: 1, Max: 1, Tolerance: "100 %", Held: fault.Success == 1},
		{Name: "p99", Says: "p99 in the fault against the baseline", Value: fault.P99 / j.Phases[1].Stats.P99, Max: 2, Tolerance: "at most 2", Held: !bad, Noise: 1.06},
		{Name: "tries", Says: "tries per request, in the fault", Value: fault.Tries, Max: 1.08, Tolerance: "at most 1.08", Held: !bad, Noise: 1.001},
		{Name: "audit", Says: "violations of all invariants", Text: "0 in 2,412 orders", Tolerance: "0", Held: true},
	}
	j.Verdict, j.Why = "held", "All 4 probes are within their tolerances."
	j.Probes[0].Bound = "fewer than 0.062 % fail, with 95 % confidence"
	if bad {
		j.Verdict, j.Why, j.Probes[0].Bound = "deviated", "Of the reads 77.6 % were answered, and the slowest took their whole second.", ""
		for i := range 6 {
			j.Failed = append(j.Failed, chaos.Request{At: 26 + 2.7*float64(i), Op: "browse", Took: 1000.4, Status: 504, Code: "timeout", TraceID: fmt.Sprintf("%016x", rnd.Uint64())})
		}
	}
	for i := range 5 {
		j.Slowest = append(j.Slowest, chaos.Request{At: 25.1 + float64(i)/100, Op: []string{"browse", "checkout"}[i%2], Took: 63.2 - 4*float64(i), Status: 200 + i%2, TraceID: fmt.Sprintf("%016x", rnd.Uint64())})
	}
	return j
}

func second(rnd *rand.Rand, s int, bad bool) chaos.Second {
	hurt := s >= 25 && s < 45
	n := 240.0
	out := chaos.Second{At: float64(s), Requests: 232 + rnd.Int64N(17), P50: 11 + rnd.Float64(), P99: 14 + 3*rnd.Float64(), Max: 18 + 8*rnd.Float64()}
	share := []float64{.33, .33, .34}
	catalog := chaos.ServiceSeconds{Callers: 3, Calls: n, Tries: 1 + math.Round(rnd.Float64()*4)/1000, Instances: map[string]float64{}}
	switch {
	case hurt && bad:
		out.Failed = int64(float64(out.Requests)*(.2+.05*rnd.Float64()) + 1)
		out.P99, out.Max = 1000+rnd.Float64(), 1001+rnd.Float64()
		catalog.Tries = 1.1 + .1*rnd.Float64()
		if s%6 < 3 {
			catalog.Open = map[string]int{"catalog-2": 1 + s%3}
		}
	case hurt:
		share = []float64{.495, .01, .495}
		out.P99, out.Partial = out.P99+3, rnd.Int64N(2)
		catalog.Ejected = map[string]int{"catalog-2": 3}
		if s == 25 {
			out.Max, catalog.Tries = 63.2, 1.05
			catalog.Ejected["catalog-2"] = 2
		}
	}
	if hurt {
		out.Silent = []string{"catalog-2"}
	}
	out.Mesh = map[string]chaos.ServiceSeconds{"catalog": catalog}
	for i, part := range share {
		catalog.Instances[fmt.Sprintf("catalog-%d", i+1)] = math.Round(n * part * (.95 + .1*rnd.Float64()))
	}
	for _, service := range []string{"gateway", "pricing"} {
		in := map[string]float64{}
		for i := range 3 {
			in[fmt.Sprintf("%s-%d", service, i+1)] = math.Round(80 * (.9 + .2*rnd.Float64()))
		}
		out.Mesh[service] = chaos.ServiceSeconds{Callers: 3, Calls: 240, Tries: 1, Instances: in}
	}
	return out
}

func statsOf(seconds []chaos.Second, from, to float64) chaos.Stats {
	var s chaos.Stats
	var p50, p99 []float64
	var failed int64
	for _, second := range seconds[int(from):int(to)] {
		s.Requests, failed, s.Partial = s.Requests+second.Requests, failed+second.Failed, s.Partial+second.Partial
		s.Max = max(s.Max, second.Max)
		p50, p99 = append(p50, second.P50), append(p99, second.P99)
	}
	slices.Sort(p50)
	slices.Sort(p99)
	s.P50, s.P99 = p50[len(p50)/2], p99[len(p99)/2]
	s.P90, s.P999 = (s.P50+s.P99)/2, s.Max*.97
	s.Success, s.Bound = 1-float64(failed)/float64(s.Requests), 3/float64(s.Requests)
	s.Tries = 1.002
	if failed > 0 {
		s.Failures, s.Bound, s.Tries = map[string]int64{"timeout": failed}, 1.1*float64(failed)/float64(s.Requests), 1.19
	}
	browse := s
	browse.Requests = s.Requests * 8 / 10
	s.ByOp = map[string]*chaos.Stats{"browse": &browse}
	return s
}

// short is a run that ended at once, of another experiment.
func short() chaos.Journal {
	began := time.Date(2026, 3, 1, 9, 40, 0, 0, time.UTC)
	return chaos.Journal{
		Version: 1, Name: "kill-consul", Title: "Kill Consul for 60 s", Stack: "mesh", Target: "compose", Seed: 7,
		Began: began, Ended: began.Add(3 * time.Second), Verdict: "aborted", Why: "Ended by the user after 3 s.", Rate: 100,
		Phases:    []chaos.Phase{{Name: "warm-up", To: 3}},
		Seconds:   []chaos.Second{{At: 0, Requests: 98, P50: 9, P99: 12, Max: 14}, {At: 1}, {At: 2, Requests: 100, P50: 9, P99: 12, Max: 13}},
		Unwatched: "none of 21 admin ports answers here",
	}
}
