package chaos

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/load"
)

// verdicts are the words, by number.
var verdicts = [...]string{Held: "held", Deviated: "deviated", Violated: "violated", Aborted: "aborted", Inconclusive: "inconclusive"}

func (v Verdict) String() string { return verdicts[v] }

// Code is the verdict of a finished journal as a number: the exit code.
func (j Journal) Code() Verdict { return Verdict(slices.Index(verdicts[:], j.Verdict)) }

// Worst is the verdict of several runs: what was lost weighs most.
func Worst(journals []Journal) Verdict {
	weight := []Verdict{Held, Inconclusive, Deviated, Aborted, Violated}
	worst := Held
	for _, j := range journals {
		if slices.Index(weight, j.Code()) > slices.Index(weight, worst) {
			worst = j.Code()
		}
	}
	return worst
}

// judge fills in the probes, the audit and the verdict.
func (j *Journal) judge(e Experiment, m *measured, r *run) {
	var deviated, noisy, unknown []string
	for _, p := range e.Hypothesis.Probes {
		result, sure := p.result(m)
		j.Probes = append(j.Probes, result)
		switch {
		case result.Error != "":
			unknown = append(unknown, p.Name)
		case !sure:
			noisy = append(noisy, p.Name)
		case !result.Held && p.Type != "audit":
			deviated = append(deviated, p.Name)
		}
	}
	violations := 0
	if m.audit != nil {
		j.Audit = summary(m)
		violations = j.Audit.Violations
	}
	late, all := lateness(m.samples.in(m.all(), ""))
	verdict := func(v Verdict, format string, args ...any) {
		j.Verdict, j.Why = v.String(), fmt.Sprintf(format, args...)
	}
	switch {
	case violations > 0:
		verdict(Violated, "the audit found %s", plural(violations, "violation"))
	case r.aborted != nil:
		verdict(Aborted, "%v", r.aborted)
	case r.recorder.dropped > 0:
		verdict(Inconclusive, "%d requests were too many to remember", r.recorder.dropped)
	case float64(late) > load.MaxLate*float64(all):
		verdict(Inconclusive, "%s of %s requests were sent late: the machine is too busy to tell", thousands(late), thousands(all))
	case len(deviated) > 0:
		verdict(Deviated, "%s: out of tolerance", strings.Join(deviated, ", "))
	case len(r.unfinished) > 0:
		verdict(Inconclusive, "%s: not done when the fault phase was over; make it longer", strings.Join(r.unfinished, ", "))
	case len(unknown) > 0:
		verdict(Inconclusive, "%s: could not be measured", strings.Join(unknown, ", "))
	case len(noisy) > 0:
		verdict(Inconclusive, "%s: the tolerance lies within the noise, which two halves of the baseline show", strings.Join(noisy, ", "))
	default:
		verdict(Held, "every probe is within its tolerance")
	}
}

// result measures a probe. It is sure, unless two halves of the baseline, without
// any fault, break the tolerance too: then only a value that is out by more than
// they differ tells something.
func (p Probe) result(m *measured) (r ProbeResult, sure bool) {
	metric := p.metric()
	t := p.Tolerance
	r = ProbeResult{Name: p.Name, Says: p.says(), Min: t.Min, Max: t.Max, Tolerance: t.text(metric.unit)}
	v, err := metric.measure(m, p, m.named(p.Phase), m.baseline)
	if err != nil {
		r.Error = err.Error()
		return r, false
	}
	r.Value, r.Bound, r.Held = grain(v.x), v.bound, t.holds(v.x)
	r.Text = strings.TrimSpace(metric.unit.text(v.x) + " " + v.of)
	if !metric.aa {
		return r, true
	}
	same, noise, err := p.calibrate(m)
	if err != nil {
		r.Error = "A/A: " + err.Error()
		return r, false
	}
	r.Noise = grain(same)
	if t.holds(same) {
		return r, true
	}
	return r, v.x > t.Max+noise || v.x < t.Min-noise
}

// calibrate measures the probe where nothing was done: in each half of the
// baseline against the other. It returns the value that is further from the
// tolerance, and by how much that differs from what it should be.
func (p Probe) calibrate(m *measured) (same, noise float64, err error) {
	measure := p.metric().measure
	first, second := m.baseline.halves()
	a, errA := measure(m, p, second, first)
	b, errB := measure(m, p, first, second)
	if err := errors.Join(errA, errB); err != nil {
		return 0, 0, err
	}
	noise = math.Abs(a.x - b.x)
	if p.metric().unit == times {
		noise = max(a.x, b.x) - 1
	}
	if p.Tolerance.missed(b.x) > p.Tolerance.missed(a.x) {
		return b.x, noise, nil
	}
	return a.x, noise, nil
}

// missed is how far x is outside.
func (t Tolerance) missed(x float64) float64 { return max(t.Min-x, x-t.Max, 0) }

func lateness(all samples) (late, of int) {
	return all.count(func(s sample) bool { return s.late }), len(all)
}

// maxFindings bounds the findings of an audit that a journal repeats.
const maxFindings = 20

func summary(m *measured) *Audit {
	a := &Audit{Orders: m.audit.Orders, Violations: m.audit.Violations}
	for _, c := range m.audit.Checks {
		if c.Skipped != "" {
			a.Skipped = append(a.Skipped, c.Name+": "+c.Skipped)
		}
		if c.Skipped == "" || c.Checked > 0 {
			a.Checks = append(a.Checks, c.Name)
		}
		for _, v := range c.Violations {
			if len(a.Findings) < maxFindings {
				a.Findings = append(a.Findings, c.Name+": "+v.String())
			}
		}
	}
	return a
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return thousands(n) + " " + word + "s"
}
