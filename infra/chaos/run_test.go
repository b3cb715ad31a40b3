package chaos

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/load"
)

func inBubble(t *testing.T, test func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newBench(t)) })
}

// Every request is counted in the phase in which it was due, and everything is
// done and undone in time.
func TestRunHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		j := b.mustRun()
		b.want(j, Held)
		for i, want := range []struct {
			name     string
			from, to float64
			requests int64
		}{{"warm-up", 0, 2, 100}, {"baseline", 2, 6, 200}, {"fault", 6, 12, 300}, {"recovery", 12, 15, 150}} {
			p := j.Phases[i]
			if p.Name != want.name || p.From != want.from || p.To != want.to || p.Stats.Requests != want.requests {
				t.Errorf("%+v, want %+v", p, want)
			}
		}
		if fault := j.Phases[2].Stats; fault.ByOp[load.Checkout].Requests != 60 || fault.Bound != .01 || fault.P99 != 10 {
			t.Errorf("%+v", fault)
		}
		want := []string{"kill 6s", "pause 8s", "stop kill 12s", "stop pause 12s", "heal 15s"}
		got := slices.Clone(b.lab.events)
		slices.Sort(got[2:4]) // both stop at once
		if !slices.Equal(got, want) {
			t.Errorf("done: %v, want %v", got, want)
		}
		if len(j.Seconds) != 15 || j.Seconds[7].Requests != 50 || j.Seconds[7].Mesh["catalog"].Calls != 10 {
			t.Errorf("%d seconds, %+v", len(j.Seconds), j.Seconds[7])
		}
		if !slices.Equal(b.view.phases, []string{"warm-up", "baseline", "fault", "recovery"}) || len(b.view.seconds) < 13 {
			t.Errorf("shown: %v and %d seconds", b.view.phases, len(b.view.seconds))
		}
		if len(b.told) != 1 || !b.told[0].Whole || j.Audit.Orders != 10 {
			t.Errorf("the audit was told %+v and said %+v", b.told, j.Audit)
		}
		if _, err := json.Marshal(j); err != nil {
			t.Error(err)
		}
	})
}

func TestRunDeviates(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.shop.answer = func(at time.Duration, a *load.Answer) {
			if at == 7*time.Second {
				a.Failed, a.Code, a.Status, a.TraceID = true, "unavailable", 503, "abc"
			}
		}
		j := b.mustRun()
		b.want(j, Deviated)
		reads := j.Probes[0]
		if reads.Held || reads.Text != "99.583 % of 240" || !strings.Contains(reads.Bound, "fewer than 1.9") {
			t.Errorf("%+v", reads)
		}
		if len(j.Failed) != 1 || j.Failed[0].TraceID != "abc" || j.Failed[0].At != 7 {
			t.Errorf("%+v", j.Failed)
		}
	})
}

func TestRunIsViolated(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.report = audit.Report{Orders: 10, Violations: 1, Checks: []audit.Check{{
			Name: "once", Checked: 10, Violations: []audit.Violation{{Keys: []string{"k-1"}, Expected: "one charge", Found: "two"}},
		}}}
		j := b.mustRun()
		b.want(j, Violated)
		if j.Audit.Findings[0] != "once: k-1: expected one charge, found two (k-1)" || j.Probes[2].Held {
			t.Errorf("%+v %+v", j.Audit, j.Probes[2])
		}
	})
}

// Nobody is let wait longer than the stop-condition says, and what was lost is
// still looked for.
func TestStopConditionAborts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.shop.answer = func(at time.Duration, a *load.Answer) {
			if at >= 7*time.Second {
				a.Failed, a.Code, a.Done = true, "timeout", a.Intended.Add(time.Second)
			}
		}
		j := b.mustRun()
		b.want(j, Aborted)
		if !strings.Contains(j.Why, "reads: 0.000 % for 2s") {
			t.Error(j.Why)
		}
		// Bad from 7 s to 9 s, and a checkout's answer takes at most 3 s.
		if b.lab.healed != 12*time.Second {
			t.Errorf("healed after %v", b.lab.healed)
		}
		if b.audits != 1 || j.Ended.Sub(j.Began) > 14*time.Second {
			t.Errorf("%d audits; it lasted %v", b.audits, j.Ended.Sub(j.Began))
		}
	})
}

func TestCtrlCHeals(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 8450*time.Millisecond, context.Canceled)
		defer cancel()
		j, err := b.run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b.want(j, Aborted)
		if b.lab.healed > 9500*time.Millisecond || b.audits != 0 {
			t.Errorf("healed after %v, %d audits", b.lab.healed, b.audits)
		}
		if n := len(j.Phases); n != 3 || j.Phases[2].Stats.Requests != 123 {
			t.Errorf("%+v", j.Phases)
		}
	})
}

// The mesh is healed before the last customers have their answers.
func TestCtrlCDoesNotWaitForTheCrowd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.e.Load.FaultRate = Rate{PerSecond: 150}
		b.shop.answer = func(_ time.Duration, a *load.Answer) { a.Done = a.Intended.Add(3 * time.Second) }
		ctx, cancel := context.WithTimeoutCause(t.Context(), 8450*time.Millisecond, context.Canceled)
		defer cancel()
		j, err := b.run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b.want(j, Aborted)
		if b.lab.healed > 9*time.Second || j.Phases[2].Stats.Requests < 300 {
			t.Errorf("healed after %v, %d requests counted", b.lab.healed, j.Phases[2].Stats.Requests)
		}
	})
}

func TestActionThatCannotBeDoneAborts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.lab.fails = errRefused
		j := b.mustRun()
		b.want(j, Aborted)
		if !strings.Contains(j.Why, errRefused.Error()) || b.lab.healed != 6*time.Second {
			t.Errorf("%s, healed after %v", j.Why, b.lab.healed)
		}
	})
}

// A deployment that the phase was too short for shows nothing.
func TestUnfinishedActionIsInconclusive(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.e.Method[1].Action.Action = "rolling-restart"
		j := b.mustRun()
		b.want(j, Inconclusive)
		if !strings.HasPrefix(j.Why, "later: not done") {
			t.Error(j.Why)
		}
	})
}

func TestLateLoadIsInconclusive(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.shop.answer = func(at time.Duration, a *load.Answer) { a.Late = at == 7*time.Second }
		b.want(b.mustRun(), Inconclusive)
	})
}

// A tolerance that two halves of the baseline break says nothing, unless the
// fault's value is far beyond.
func TestNoise(t *testing.T) {
	for name, c := range map[string]struct {
		fault   time.Duration
		verdict Verdict
	}{
		"within":     {10 * time.Millisecond, Inconclusive},
		"a bit out":  {25 * time.Millisecond, Inconclusive},
		"far beyond": {200 * time.Millisecond, Deviated},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.shop.answer = func(at time.Duration, a *load.Answer) {
					switch {
					case at >= 4*time.Second && at < 6*time.Second: // the baseline's second half
						a.Done = a.Intended.Add(20 * time.Millisecond)
					case at >= 6*time.Second && at < 12*time.Second:
						a.Done = a.Intended.Add(c.fault)
					}
				}
				j := b.mustRun()
				b.want(j, c.verdict)
				if j.Probes[1].Noise != 2 {
					t.Errorf("%+v", j.Probes[1])
				}
			})
		})
	}
}

func TestMoreCustomersComeDuringTheFault(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.e.Load.FaultRate = Rate{PerSecond: 150}
		j := b.mustRun()
		b.want(j, Held)
		if n := j.Phases[2].Stats.Requests; n != 900 || j.Phases[3].Stats.Requests != 150 || len(b.told) != 2 {
			t.Errorf("%d in the fault, %d after, %d histories", n, j.Phases[3].Stats.Requests, len(b.told))
		}
	})
}

// The shop lists its products slowly: the crowd comes late and leaves in time.
func TestLateCrowdLeavesInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.e.Load.FaultRate = Rate{PerSecond: 150}
		b.shop.learns = 705 * time.Millisecond // so that nobody is due just when the phase ends
		j := b.mustRun()
		if n := j.Phases[2].Stats.Requests; n != 300+530 || j.Phases[3].Stats.Requests != 150 {
			t.Errorf("%d in the fault, %d after; want 830 and 150", n, j.Phases[3].Stats.Requests)
		}
	})
}

func TestScale(t *testing.T) {
	b := newBench(t)
	b.e.Method[0].Action.RestartAfter, b.e.Method[0].Action.Every = 10*time.Second, 2*time.Second
	e := b.e.Scale(.5)
	if e.Load.Lasts() != 7500*time.Millisecond || e.Method[1].At != time.Second || e.Method[0].Action.RestartAfter != 5*time.Second || e.Method[0].Action.Every != 2*time.Second {
		t.Errorf("%+v", e)
	}
	if e := b.e.Scale(.01); e.Load.Baseline != minPhase || e.Method[1].At >= e.Load.Duration {
		t.Errorf("%+v", e)
	}
	if b.e.Method[1].At != 2*time.Second {
		t.Error("the original was scaled, too")
	}
}

func TestCapacity(t *testing.T) {
	e := Experiment{Mesh: MeshOptions{Instances: 3, Work: 30 * time.Millisecond, Workers: 3}, Load: Load{Mix: map[string]float64{"browse": 80, "checkout": 20}}}
	if c := e.Capacity(); math.Abs(c-300/(.9*(.8*1.9+.2*2))) > 1e-6 {
		t.Errorf("%v", c)
	}
	say := func(string) {}
	carries := func(most float64) Loader {
		return func(_ context.Context, o load.Options) (load.Result, error) {
			r := load.Result{Stats: load.Stats{Requests: 100, Success: 1, Latency: load.Latency{P99: 10}}}
			if o.Rate > most {
				r.Success = .5
			}
			return r, nil
		}
	}
	if c, err := ramp(t.Context(), load.Options{}, carries(100), say); err != nil || c < 80 || c > 100 {
		t.Errorf("%v %v", c, err)
	}
	if _, err := ramp(t.Context(), load.Options{}, carries(5), say); err == nil {
		t.Error("a mesh that carries nothing has a capacity")
	}
}

func TestFits(t *testing.T) {
	b := newBench(t)
	state := newFleet(1).state
	if err := b.e.Fits(state); err != nil {
		t.Error(err)
	}
	paused := newFleet(1).state
	paused.Instances[3].Status = "paused"
	worked := newFleet(1).state
	worked.Work, worked.Workers = "25ms", 3
	for _, s := range []struct {
		why string
		err error
	}{
		{"inventory-1 is paused", b.e.Fits(paused)},
		{"2 instances of gateway", b.e.Fits(newFleet(2).state)},
		{"25ms on 3 workers", b.e.Fits(worked)},
	} {
		misfit, ok := errors.AsType[*Misfit](s.err)
		if !ok || !strings.Contains(misfit.Error(), s.why) {
			t.Errorf("%v, want %s", s.err, s.why)
		}
	}
}

// The values are those of R: binom.test(k, n, alternative = "less")$conf.int[2].
func TestFailureBound(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want float64
	}{{0, 300, .01}, {0, 2, 1}, {0, 0, 1}, {3, 3, 1}, {1, 100, .04656}, {5, 50, .19910}, {100, 100_000, .00118}} {
		if got := failureBound(c.k, c.n); math.Abs(got-c.want) > .01*c.want {
			t.Errorf("%d of %d: %v, want %v", c.k, c.n, got, c.want)
		}
	}
}

func TestMeasures(t *testing.T) {
	seconds := func(from, to int, s ServiceSeconds) (list []Second) {
		for n := from; n < to; n++ {
			list = append(list, Second{At: float64(n), Mesh: map[string]ServiceSeconds{"pricing": s}})
		}
		return list
	}
	out := ServiceSeconds{Calls: 100, Tries: 1.02, Ejected: map[string]int{"pricing-1": 1}, Instances: map[string]float64{"pricing-1": 2, "pricing-2": 100}}
	in := ServiceSeconds{Calls: 100, Tries: 1, Instances: map[string]float64{"pricing-1": 50, "pricing-2": 50}}
	m := &measured{
		timeline: Load{Warmup: 0, Baseline: 10 * time.Second, Duration: 10 * time.Second, Recovery: 10 * time.Second}.timeline(),
		seconds:  slices.Concat(seconds(0, 11, in), seconds(11, 30, out)),
		events: []Event{
			{At: 11, Name: "canary", Target: "pricing-v2", Text: "started as v2"}, {At: 12, Name: "canary", Target: "catalog-v2", Text: "rolled back after 1.0 s"},
			{At: 14.5, Name: "canary", Target: "pricing-v2", Text: "rolled back after 3.4 s: it fails"},
		},
		blow: 10 * time.Second, victims: map[string]bool{"pricing-1": true}, capacity: 10,
		consul: []roll{{at: 10 * time.Second, answers: true, passing: 2, all: 2}, {at: 11 * time.Second, all: 2},
			{at: 15 * time.Second, answers: true, passing: 0, all: 2}, {at: 16500 * time.Millisecond, answers: true, passing: 2, all: 2}},
	}
	for n := range 300 { // ten a second; those due between 20 and 21.5 s fail
		at := time.Duration(n) * 100 * time.Millisecond
		m.samples = append(m.samples, sample{at: at, took: time.Millisecond, op: load.Browse, tries: 1, failed: at >= 20*time.Second && at < 21500*time.Millisecond})
	}
	for _, c := range []struct {
		kind, metric string
		want         float64
	}{
		{"mesh", "tries_per_call", (100 + 9*102.) / 1000},
		{"mesh", "victim_share", 2. / 102},
		{"mesh", "ejected_after_s", 2},
		{"mesh", "registered_after_s", 1.5},
		{"mesh", "rolled_back_after_s", 3.5},
		{"load", "recovered_after_s", 1.4},
		{"load", "goodput_of_capacity", 1},
		{"load", "longest_gap_s", .1},
	} {
		p := Probe{Type: c.kind, Metric: c.metric, Service: "pricing", Phase: phaseFault}
		v, err := p.metric().measure(m, p, m.fault, m.baseline)
		if err != nil || math.Abs(v.x-c.want) > 1e-3 {
			t.Errorf("%s: %v %v, want %v", c.metric, v.x, err, c.want)
		}
	}
	p := Probe{Type: "load", Metric: "longest_gap_s"}
	if v, _ := p.metric().measure(m, p, m.recovery, m.baseline); math.Abs(v.x-1.501) > 1e-3 {
		t.Errorf("a gap of %v s", v.x)
	}
}

func TestPercentNeverRoundsAFailureAway(t *testing.T) {
	for share, want := range map[float64]string{1: "100.000 %", .9999999: "99.999 %", .5: "50.000 %", .99999: "99.999 %"} {
		if got := percent(share); got != want {
			t.Errorf("%v is %s, want %s", share, got, want)
		}
	}
	for share, want := range map[float64]string{.00012341: "0.013 %", .01: "1.000 %", .00000012: "0.000012 %", 1: "100.000 %"} {
		if got := percentUp(share); got != want {
			t.Errorf("at most %v is %s, want %s", share, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.shop.answer = func(at time.Duration, a *load.Answer) {
			if at == 7*time.Second {
				a.Failed, a.Code = true, "timeout"
			}
		}
		j := b.mustRun()
		var text, junit strings.Builder
		if err := errors.Join(j.WriteText(&text), WriteJUnit(&junit, []Journal{j}), WriteVerdicts(&text, []Journal{j})); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"reads: answered without an error (browse, in the fault)", "99.583 % of 240", "NOT HELD", "with 95 % confidence",
			"failures in the fault: timeout 1", "audit: 0 violations in 10 orders", "verdict: deviated (reads: out of tolerance)",
			"bench       mesh   deviated",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the text lacks %q:\n%s", want, text.String())
			}
		}
		var suites junitSuites
		if err := xml.Unmarshal([]byte(junit.String()), &suites); err != nil {
			t.Fatal(err)
		}
		if s := suites.Suites[0]; s.Tests != 4 || s.Failures != 2 || s.Errors != 0 || len(s.Cases) != 4 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWorst(t *testing.T) {
	of := func(v ...Verdict) (journals []Journal) {
		for _, v := range v {
			journals = append(journals, Journal{Verdict: v.String()})
		}
		return journals
	}
	if v := Worst(of(Held, Deviated, Inconclusive)); v != Deviated {
		t.Error(v)
	}
	if v := Worst(of(Aborted, Violated)); v != Violated {
		t.Error(v)
	}
}
