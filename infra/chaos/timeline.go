package chaos

import (
	"slices"
	"time"
)

// timeline is when each phase is, after the run began.
type timeline struct{ warmup, baseline, fault, recovery window }

func (l Load) timeline() timeline {
	var t timeline
	at := time.Duration(0)
	next := func(d time.Duration) window {
		w := window{at, at + d}
		at = w.to
		return w
	}
	t.warmup, t.baseline, t.fault, t.recovery = next(l.Warmup), next(l.Baseline), next(l.Duration), next(l.Recovery)
	return t
}

func (t timeline) end() time.Duration { return t.recovery.to }

// all is every phase that counts.
func (t timeline) all() window { return window{t.baseline.from, t.recovery.to} }

// named returns the phase of a probe.
func (t timeline) named(phase string) window {
	switch phase {
	case phaseBaseline:
		return t.baseline
	case phaseRecovery:
		return t.recovery
	case phaseAll:
		return t.all()
	}
	return t.fault
}

// phases lists those that last, in their order.
func (t timeline) phases() (list []Phase) {
	for _, p := range []struct {
		name string
		window
	}{{phaseWarmup, t.warmup}, {phaseBaseline, t.baseline}, {phaseFault, t.fault}, {phaseRecovery, t.recovery}} {
		if p.to > p.from {
			list = append(list, Phase{Name: p.name, From: p.from.Seconds(), To: p.to.Seconds()})
		}
	}
	return list
}

// Scale makes every phase x times as long, the baseline and the fault at least
// two seconds, and with them the times at which actions begin and end. What an
// action does every two seconds, it still does.
func (e Experiment) Scale(x float64) Experiment {
	scaled := func(d, least time.Duration) time.Duration {
		return max(least, time.Duration(float64(d)*x).Round(time.Millisecond))
	}
	l := &e.Load
	full := l.Duration
	l.Warmup, l.Recovery = scaled(l.Warmup, 0), scaled(l.Recovery, 0)
	l.Baseline, l.Duration = scaled(l.Baseline, minPhase), scaled(l.Duration, minPhase)
	x = float64(l.Duration) / float64(full)
	e.Method = slices.Clone(e.Method)
	for i := range e.Method {
		s := &e.Method[i]
		s.At, s.Action.For = scaled(s.At, 0), scaled(s.Action.For, 0)
		if s.Action.RestartAfter >= time.Second {
			s.Action.RestartAfter = scaled(s.Action.RestartAfter, time.Second)
		}
	}
	return e
}

// Lasts is how long the phases take together.
func (l Load) Lasts() time.Duration { return l.timeline().end() }
