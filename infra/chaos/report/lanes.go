package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

const (
	laneHeight = 20
	viewHeight = 11 // what the callers think; below it, whether the instance answers
)

// lanesFigure has a lane per instance: how many of its callers hold it out of
// rotation or have an open breaker, and whether it answers.
func lanesFigure(j *chaos.Journal, sc scales, about subjects) figure {
	f := figure{Name: "Ejection and breakers", Unit: "by instance; the height is the share of its callers"}
	switch {
	case len(servicesOf(j)) == 0:
		f.Empty = unwatched(j)
		return f
	case len(about.lanes) == 0:
		f.Empty = "No caller held any instance out, and all answered."
		return f
	}
	f.Keys = []key{
		{Class: "a-out", Area: true, Text: "out of rotation"},
		{Class: "a-open", Area: true, Text: "breaker open"},
		{Class: "a-silent", Area: true, Text: "does not answer: dead or paused"},
	}
	p := newPlot(j, sc.time, scale{}, len(about.lanes)*laneHeight+4)
	var said []string
	for i, id := range about.lanes {
		top := 4 + i*laneHeight
		class := "tick"
		if about.victims[id] {
			class += " victim"
		}
		fmt.Fprintf(&p.labels, `<text class="%s" x="%d" y="%d">%s<title>%s</title></text>`, class, labelWidth-8, top+viewHeight, esc(abbreviated(id)), esc(id))
		fmt.Fprintf(&p.back, `<line class="track" x1="0" x2="100%%" y1="%[1]d" y2="%[1]d"/>`, top+viewHeight)
		out, open, silent := standing(j, id)
		p.blocks("a-out", out, top, viewHeight)
		p.blocks("a-open", open, top, viewHeight)
		p.blocks("a-silent", silent, top+viewHeight+1, 4)
		if words := laneWords(out, open, silent); words != "" {
			said = append(said, id+" "+words)
		}
	}
	f.Note = lanesNote(about)
	if len(said) == 0 {
		said = []string{"nothing in this run"}
	}
	f.SVG = p.done("Ejection and breakers: " + strings.Join(said, "; ") + ".")
	return f
}

func lanesNote(about subjects) string {
	var parts []string
	if about.quiet > 0 {
		parts = append(parts, plural(about.quiet, "other instance")+" always in rotation")
	}
	if about.dropped > 0 {
		parts = append(parts, plural(about.dropped, "more lane")+" not drawn")
	}
	return strings.Join(parts, ", ")
}

// block is a stretch of time with one share.
type block struct{ from, to, share float64 }

// standing is, second by second, the share of the callers that hold an instance
// out and of those with an open breaker, and whether it was silent. What was
// asked at the end of a second is drawn over that second.
func standing(j *chaos.Journal, id string) (out, open, silent []block) {
	for _, s := range j.Seconds {
		for _, m := range s.Mesh {
			callers := float64(max(m.Callers, 1))
			out = grow(out, s.At, float64(m.Ejected[id])/callers)
			open = grow(open, s.At, float64(m.Open[id])/callers)
		}
		if slices.Contains(s.Silent, id) {
			silent = grow(silent, s.At, 1)
		}
	}
	return out, open, silent
}

// grow adds a second to the last block where that goes on.
func grow(blocks []block, at, share float64) []block {
	share = min(share, 1)
	if share <= 0 {
		return blocks
	}
	if n := len(blocks); n > 0 && blocks[n-1].to == at && blocks[n-1].share == share {
		blocks[n-1].to = at + 1
		return blocks
	}
	return append(blocks, block{at, at + 1, share})
}

// blocks draws blocks that stand on the bottom of a lane.
func (p *plot) blocks(class string, blocks []block, top, height int) {
	for _, b := range blocks {
		h := max(float64(height)*b.share, 2)
		fmt.Fprintf(&p.front, `<rect class="%s" x="%s" width="%s" y="%s" height="%s"/>`, class,
			p.time.at(b.from), p.time.at(p.time.from+b.to-b.from), short(float64(top)+float64(height)-h), short(h))
	}
}

// laneWords say what a lane shows.
func laneWords(out, open, silent []block) string {
	var parts []string
	for _, of := range []struct {
		words  string
		blocks []block
	}{{"out of rotation", out}, {"with an open breaker", open}, {"silent", silent}} {
		seconds := 0.0
		for _, b := range of.blocks {
			seconds += b.to - b.from
		}
		if seconds > 0 {
			parts = append(parts, fmt.Sprintf("%s for %s s from %s", of.words, number(seconds), clock(of.blocks[0].from)))
		}
	}
	return strings.Join(parts, ", ")
}

// abbreviated fits an id into the labels; the whole is its tooltip.
func abbreviated(id string) string {
	const most = 14
	runes := []rune(id)
	if len(runes) <= most {
		return id
	}
	return string(runes[:most-5]) + "…" + string(runes[len(runes)-4:])
}

// trafficFigure is how the tries of one service were shared by its instances.
// Those that were hurt lie at the bottom, in colours.
func trafficFigure(j *chaos.Journal, sc scales, about subjects, service string) figure {
	f := figure{Name: "Traffic of " + service, Unit: "% of its tries by instance, from the bottom"}
	ids := slices.Clone(about.services[service])
	slices.SortStableFunc(ids, func(a, b string) int {
		switch {
		case about.victims[a] == about.victims[b]:
			return 0
		case about.victims[a]:
			return -1
		}
		return 1
	})
	p := newPlot(j, sc.time, scale{min: 0, max: 100, ticks: []float64{0, 50, 100}}, 92)
	var seconds, totals []float64
	var shares []map[string]float64
	for _, s := range j.Seconds {
		total := 0.0
		for _, n := range s.Mesh[service].Instances {
			total += n
		}
		if total > 0 {
			seconds, totals, shares = append(seconds, s.At), append(totals, total), append(shares, s.Mesh[service].Instances)
		}
	}
	if len(seconds) == 0 {
		f.Empty = "Nobody called " + service + " in this run."
		return f
	}
	below := make([]float64, len(seconds))
	var edges [][]float64
	hurt, sound := 0, 0
	for _, id := range ids {
		top := slices.Clone(below)
		for i := range seconds {
			top[i] += 100 * shares[i][id] / totals[i]
		}
		class := ""
		if about.victims[id] {
			class = fmt.Sprint("a-v", 1+hurt%3)
			hurt++
		} else {
			class = fmt.Sprint("a-n", 1+sound%4)
			sound++
		}
		p.bars(class, seconds, top, below)
		edges = append(edges, top)
		f.Keys = append(f.Keys, key{Class: class, Area: true, Text: id})
		below = top
	}
	for _, top := range edges[:len(edges)-1] {
		var points []point
		for i, t := range seconds {
			points = append(points, point{t, top[i]})
		}
		p.line("edge", points)
	}
	f.Note = trafficNote(j, about, service, ids)
	f.SVG = p.done(fmt.Sprintf("Share of the tries of %s by instance. %s.", service, f.Note))
	return f
}

// trafficNote is the share of those that were hurt, by phase; of two at most,
// where each is as good an example.
func trafficNote(j *chaos.Journal, about subjects, service string, ids []string) string {
	var parts []string
	for _, id := range ids[:min(2, len(ids))] {
		if !about.victims[id] && len(parts) > 0 {
			break
		}
		var words []string
		for _, ph := range j.Phases {
			part, total := 0.0, 0.0
			for _, s := range j.Seconds {
				if s.At >= ph.From && s.At < ph.To {
					for other, n := range s.Mesh[service].Instances {
						total += n
						if other == id {
							part += n
						}
					}
				}
			}
			if total > 0 && phaseClass(ph.Name) != "phase warmup" {
				words = append(words, ph.Name+" "+tenths(100*part/total)+" %")
			}
		}
		parts = append(parts, id+": "+strings.Join(words, ", "))
	}
	return strings.Join(parts, "; ")
}
