package report

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// manyEvents is from how many on the events are marked above the charts only.
const manyEvents = 16

const (
	stripHeight = 46
	axisHeight  = 30
)

// markers are the events that are drawn: phases are shaded instead.
func markers(events []chaos.Event) (out []chaos.Event) {
	for _, e := range events {
		if e.Kind != "phase" {
			out = append(out, e)
		}
	}
	return out
}

// eventShape is the symbol of a kind of event; shapes, so that nobody needs the colours.
func eventShape(kind string) string {
	switch kind {
	case "action", "heal", "stop":
		return "ev-" + kind
	}
	return "ev-mesh"
}

// describe is an event in a line.
func describe(e chaos.Event) string {
	words := []string{moment(e.At), e.Kind, e.Name}
	for _, w := range []string{e.Target, e.Text} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.Error != "" {
		words = append(words, "failed: "+e.Error)
	}
	return strings.Join(words, " ")
}

// strip names the phases and marks the events above the charts.
func strip(j *chaos.Journal, time timeAxis) template.HTML {
	p := &plot{time: time, height: stripHeight}
	p.phases(j)
	fmt.Fprintf(&p.labels, `<text class="tick" x="%d" y="13">phase</text><text class="tick" x="%[1]d" y="37">events</text>`, labelWidth-8)
	said := []string{}
	for _, ph := range j.Phases {
		if ph.To <= ph.From {
			continue
		}
		// A nested picture cuts a name that is wider than its phase.
		fmt.Fprintf(&p.front, `<svg x="%s" width="%s" height="20"><text class="phase-name" x="4" y="13">%s</text></svg>`,
			time.at(ph.From), time.at(time.from+ph.To-ph.From), esc(ph.Name))
		said = append(said, fmt.Sprintf("%s from %s to %s", ph.Name, clock(ph.From), clock(ph.To)))
	}
	deeds := markers(j.Events)
	for _, e := range deeds {
		shape := eventShape(e.Kind)
		failed := ""
		if e.Error != "" {
			failed = " failed"
		}
		fmt.Fprintf(&p.front, `<use href="#%s" class="%[1]s%s" x="%s" y="33"><title>%s</title></use>`, shape, failed, time.at(e.At), esc(describe(e)))
	}
	said = append(said, plural(len(deeds), "event")+", listed below")
	return p.done("Phases: " + strings.Join(said, ", ") + ".")
}

// eventKeys are the legend of the strip.
func eventKeys(events []chaos.Event) (keys []key) {
	words := map[string]string{"ev-action": "action", "ev-heal": "undone", "ev-mesh": "mesh", "ev-stop": "stopped"}
	has := map[string]bool{}
	for _, e := range markers(events) {
		has[eventShape(e.Kind)] = true
	}
	for _, shape := range []string{"ev-action", "ev-heal", "ev-mesh", "ev-stop"} {
		if has[shape] {
			keys = append(keys, key{Class: shape, Text: words[shape]})
		}
	}
	return keys
}

// timeLabels are the numbers below the charts.
func timeLabels(time timeAxis) template.HTML {
	p := &plot{time: time, height: axisHeight}
	fmt.Fprintf(&p.labels, `<text class="tick" x="%d" y="14">min:s</text>`, labelWidth-8)
	for i, t := range time.ticks() {
		class, anchor := "time", "middle"
		if i%2 == 1 {
			class += " odd" // left out where there is little place
		}
		if t <= time.from {
			anchor = "start"
		} else if (time.to-t)/(time.to-time.from) < 0.03 {
			anchor = "end"
		}
		fmt.Fprintf(&p.front, `<text class="%s" x="%s" y="14" text-anchor="%s">%s</text>`, class, time.at(t), anchor, clock(t))
	}
	return p.done("Time since the run began, in minutes and seconds, from " + clock(time.from) + " to " + clock(time.to) + ".")
}
