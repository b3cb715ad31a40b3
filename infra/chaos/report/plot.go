package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// A chart is two pictures side by side: the labels, which keep their size, and
// the plot, which is as wide as there is place. In the plot, positions in time
// are percentages; paths lie in an inner picture that is stretched.

const (
	labelWidth = 92 // pixels; holds the name of an instance
	margin     = 5  // pixels above and below the paths, for the width of a line
)

// plot is a chart under construction.
type plot struct {
	time   timeAxis
	scale  scale
	height int // pixels
	labels strings.Builder
	back   strings.Builder // behind the paths
	paths  strings.Builder
	front  strings.Builder
}

func esc(s string) string { return template.HTMLEscapeString(s) }

// newPlot draws what all charts of a run have: the phases, the ticks of the time
// and the events, unless they are so many that they would hide the data.
func newPlot(j *chaos.Journal, time timeAxis, s scale, height int) *plot {
	p := &plot{time: time, scale: s, height: height}
	p.phases(j)
	for _, t := range time.ticks() {
		fmt.Fprintf(&p.back, `<line class="grid" x1="%[1]s" x2="%[1]s" y1="0" y2="100%%"/>`, time.at(t))
	}
	if deeds := markers(j.Events); len(deeds) <= manyEvents {
		for _, e := range deeds {
			fmt.Fprintf(&p.back, `<line class="moment" x1="%[1]s" x2="%[1]s" y1="0" y2="100%%"/>`, time.at(e.At))
		}
	}
	for _, tick := range s.ticks {
		y := p.pixel(tick)
		fmt.Fprintf(&p.back, `<line class="grid" x1="0" x2="100%%" y1="%[1]s" y2="%[1]s"/>`, y)
		fmt.Fprintf(&p.labels, `<text class="tick" x="%d" y="%s" dy=".32em">%s</text>`, labelWidth-8, y, tickName(tick))
	}
	return p
}

// phases shades the phases.
func (p *plot) phases(j *chaos.Journal) {
	for _, ph := range j.Phases {
		if class := phaseClass(ph.Name); class != "" && ph.To > ph.From {
			fmt.Fprintf(&p.back, `<rect class="%s" x="%s" width="%s" y="0" height="100%%"/>`, class, p.time.at(ph.From), p.time.at(p.time.from+ph.To-ph.From))
		}
	}
}

func phaseClass(name string) string {
	switch name {
	case "warm-up", "warmup":
		return "phase warmup"
	case "fault":
		return "phase fault"
	case "recovery":
		return "phase recovery"
	}
	return ""
}

// pixel is where a value is on the height of the whole picture.
func (p *plot) pixel(v float64) string {
	return short(margin + p.scale.y(v)/full*float64(p.height-2*margin))
}

// point is the value of the second that begins at t; NaN is a gap.
type point struct{ t, v float64 }

// line draws a step of one second for each point; gaps are left open.
func (p *plot) line(class string, points []point) {
	var d strings.Builder
	last, level := math.NaN(), ""
	for _, pt := range points {
		if math.IsNaN(pt.v) {
			continue
		}
		x, y := short(p.time.x(pt.t)), short(p.scale.y(pt.v))
		switch {
		case pt.t != last:
			fmt.Fprintf(&d, "M%s %sh%d", x, y, perSecond)
		case y == level:
			fmt.Fprintf(&d, "h%d", perSecond)
		default:
			fmt.Fprintf(&d, "V%sh%d", y, perSecond)
		}
		last, level = pt.t+1, y
	}
	if d.Len() > 0 {
		fmt.Fprintf(&p.paths, `<path class="line %s" d="%s"/>`, class, d.String())
	}
}

// bars draws, second by second, what is between two values.
func (p *plot) bars(class string, seconds []float64, from, to []float64) {
	var d strings.Builder
	for i, t := range seconds {
		if math.IsNaN(from[i]) || math.IsNaN(to[i]) || from[i] == to[i] {
			continue
		}
		a, b := p.scale.y(from[i]), p.scale.y(to[i])
		fmt.Fprintf(&d, "M%s %sh%dV%sh-%dz", short(p.time.x(t)), short(a), perSecond, short(b), perSecond)
	}
	if d.Len() > 0 {
		fmt.Fprintf(&p.paths, `<path class="area %s" d="%s"/>`, class, d.String())
	}
}

// level draws a line at one value.
func (p *plot) level(class string, v float64) {
	fmt.Fprintf(&p.paths, `<path class="line %s" d="M0 %sH%s"/>`, class, short(p.scale.y(v)), short(p.time.width()))
}

// done puts the chart together. alt says in words what it shows.
func (p *plot) done(alt string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<div class="chart"><svg class="labels" width="%d" height="%d" aria-hidden="true">%s</svg>`, labelWidth, p.height, p.labels.String())
	fmt.Fprintf(&b, `<svg class="plot" height="%d" role="img" aria-label="%s">%s`, p.height, esc(alt), p.back.String())
	if p.paths.Len() > 0 {
		fmt.Fprintf(&b, `<svg y="%d" width="100%%" height="%d" viewBox="0 0 %s %d" preserveAspectRatio="none">%s</svg>`,
			margin, p.height-2*margin, short(p.time.width()), full, p.paths.String())
	}
	fmt.Fprintf(&b, `%s</svg></div>`, p.front.String())
	return template.HTML(b.String())
}

// key is one entry of a legend.
type key struct {
	Class string // of the line or the area
	Area  bool
	Text  string
}
