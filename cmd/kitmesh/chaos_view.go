package main

import (
	"fmt"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// narratedView tells a run in lines.
type narratedView struct {
	out   *narrator
	name  string
	phase string
}

func (v *narratedView) Say(text string) { v.out.Progress(v.name + ": " + text) }

func (v *narratedView) Phase(p chaos.Phase) {
	v.phase = p.Name
	v.out.Line(fmt.Sprintf("%s: %s, %.0f s", v.name, p.Name, p.To-p.From))
}

func (v *narratedView) Second(s chaos.Second) {
	v.out.Progress(fmt.Sprintf("%s: %s, %.0f s  %d/s  %d failed  %d partial  p50 %.1f ms  p99 %.1f ms",
		v.name, v.phase, s.At, s.Requests, s.Failed, s.Partial, s.P50, s.P99))
}

func (v *narratedView) Event(e chaos.Event) {
	if e.Kind == "phase" {
		return
	}
	text := fmt.Sprintf("%s: %.1f s  %s %s %s", v.name, e.At, e.Name, e.Target, e.Text)
	if e.Error != "" {
		text += ": " + e.Error
	}
	v.out.Line(text)
}
