package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// figure is one chart with its words.
type figure struct {
	Name, Unit string
	Keys       []key
	Note       string // numbers of the phases, for those who do not measure with a ruler
	SVG        template.HTML
	Empty      string // why there is none
}

// scales are shared by the runs of a group, so that they can be compared.
type scales struct {
	time                                timeAxis
	success, latency, throughput, tries scale
}

func scalesOf(journals []chaos.Journal) scales {
	worst, low, high, most, triesLow, triesHigh := 100.0, math.Inf(1), 0.0, 1.0, 1.0, 1.1
	for _, j := range journals {
		most = max(most, j.Rate)
		for _, s := range j.Seconds {
			most = max(most, float64(s.Requests))
			if s.Requests > 0 {
				worst = min(worst, success(s))
				high = max(high, s.P50, s.P99, s.Max)
				if s.P50 > 0 {
					low = min(low, s.P50)
				}
			}
			for _, m := range s.Mesh {
				if m.Calls > 0 {
					triesLow, triesHigh = min(triesLow, m.Tries), max(triesHigh, m.Tries)
				}
			}
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	return scales{
		time: timeOf(journals), success: successScale(worst), latency: latencyScale(low, high),
		throughput: linear(0, most*1.02), tries: linear(triesLow, triesHigh),
	}
}

// success is the part of a second's requests that did not fail, in percent.
func success(s chaos.Second) float64 {
	return 100 * (1 - float64(s.Failed)/float64(s.Requests))
}

// series takes one value of each second; seconds without requests are gaps.
func series(seconds []chaos.Second, value func(chaos.Second) float64) (out []point) {
	for _, s := range seconds {
		out = append(out, point{s.At, value(s)})
	}
	return out
}

// served is value where there were requests.
func served(value func(chaos.Second) float64) func(chaos.Second) float64 {
	return func(s chaos.Second) float64 {
		if s.Requests == 0 {
			return math.NaN()
		}
		return value(s)
	}
}

// byPhase writes a number of each phase.
func byPhase(j *chaos.Journal, value func(chaos.Stats) string) string {
	var parts []string
	for _, p := range j.Phases {
		if p.Stats.Requests > 0 && phaseClass(p.Name) != "phase warmup" {
			parts = append(parts, p.Name+" "+value(p.Stats))
		}
	}
	return strings.Join(parts, ", ")
}

// extreme finds the second with the highest value.
func extreme(seconds []chaos.Second, value func(chaos.Second) float64) (at, v float64) {
	v = math.NaN()
	for _, s := range seconds {
		if x := value(s); s.Requests > 0 && (math.IsNaN(v) || x > v) {
			at, v = s.At, x
		}
	}
	return at, v
}

const noSeconds = "The journal has no seconds."

func successFigure(j *chaos.Journal, sc scales) figure {
	f := figure{Name: "Success", Unit: "% of the requests due in a second", Keys: []key{
		{Class: "c-good", Text: "answered well"}, {Class: "a-bad", Area: true, Text: "failed"},
	}}
	if len(j.Seconds) == 0 {
		f.Empty = noSeconds
		return f
	}
	p := newPlot(j, sc.time, sc.success, 92)
	var at, top, bottom []float64
	for _, s := range j.Seconds {
		if s.Requests > 0 {
			at, top, bottom = append(at, s.At), append(top, 100), append(bottom, success(s))
		}
	}
	p.bars("a-bad", at, top, bottom)
	p.line("c-good", series(j.Seconds, served(success)))
	f.Note = byPhase(j, func(s chaos.Stats) string { return percent(s.Success) })
	when, lost := extreme(j.Seconds, func(s chaos.Second) float64 { return 100 - success(s) })
	f.SVG = p.done(fmt.Sprintf("Success per second. %s. %s.", f.Note, lowest(lost, when)))
	return f
}

func lowest(lost, when float64) string {
	switch {
	case math.IsNaN(lost):
		return "No requests"
	case lost == 0:
		return "No second has a failure"
	}
	return fmt.Sprintf("Lowest: %s at %s", percent(1-lost/100), clock(when))
}

func latencyFigure(j *chaos.Journal, sc scales) figure {
	f := figure{Name: "Latency", Unit: "ms from the intended start", Keys: []key{
		{Class: "c-max", Text: "slowest"}, {Class: "c-p99", Text: "p99"}, {Class: "c-p50", Text: "p50"},
	}}
	if sc.latency.log {
		f.Unit += ", logarithmic"
	}
	if len(j.Seconds) == 0 {
		f.Empty = noSeconds
		return f
	}
	p := newPlot(j, sc.time, sc.latency, 150)
	slowest := func(s chaos.Second) float64 { return s.Max }
	p.line("c-max", series(j.Seconds, served(slowest)))
	p.line("c-p99", series(j.Seconds, served(func(s chaos.Second) float64 { return s.P99 })))
	p.line("c-p50", series(j.Seconds, served(func(s chaos.Second) float64 { return s.P50 })))
	f.Note = "p99 ms: " + byPhase(j, func(s chaos.Stats) string { return number(s.P99) })
	when, most := extreme(j.Seconds, slowest)
	alt := "Latency per second: p50, p99 and slowest. "
	if !math.IsNaN(most) {
		alt += fmt.Sprintf("%s. The slowest request took %s, at %s.", f.Note, ms(most), clock(when))
	}
	f.SVG = p.done(alt)
	return f
}

func throughputFigure(j *chaos.Journal, sc scales) figure {
	f := figure{Name: "Throughput", Unit: "requests per second", Keys: []key{
		{Class: "c-asked", Text: "asked"}, {Class: "c-good", Text: "answered well"}, {Class: "a-bad", Area: true, Text: "failed"},
	}}
	if len(j.Seconds) == 0 {
		f.Empty = noSeconds
		return f
	}
	p := newPlot(j, sc.time, sc.throughput, 92)
	var at, top, bottom []float64
	var total, failed int64
	for _, s := range j.Seconds {
		total, failed = total+s.Requests, failed+s.Failed
		at, top, bottom = append(at, s.At), append(top, float64(s.Requests)), append(bottom, float64(s.Requests-s.Failed))
	}
	p.bars("a-bad", at, top, bottom)
	p.line("c-good", series(j.Seconds, func(s chaos.Second) float64 { return float64(s.Requests - s.Failed) }))
	p.line("c-asked", series(j.Seconds, func(s chaos.Second) float64 { return float64(s.Requests) }))
	f.Note = "rate " + number(j.Rate) + "/s"
	if j.Capacity > 0 {
		f.Note += fmt.Sprintf(", %s %% of the capacity of %s/s", number(math.Round(100*j.Rate/j.Capacity)), number(j.Capacity))
		if j.Capacity <= sc.throughput.max {
			p.level("c-capacity", j.Capacity)
			f.Keys = append(f.Keys, key{Class: "c-capacity", Text: "capacity"})
		}
	}
	f.SVG = p.done(fmt.Sprintf("Throughput per second, %s: %s asked, %s failed.", f.Note, plural(int(total), "request"), count(failed)))
	return f
}

// triesFigure shows the services that were hurt, and any that retried much, in
// colours; the others only as context.
func triesFigure(j *chaos.Journal, sc scales, hurt []string) figure {
	f := figure{Name: "Tries per call", Unit: "retries and hedges included, by service called"}
	services := servicesOf(j)
	if len(services) == 0 {
		f.Empty = unwatched(j)
		return f
	}
	p := newPlot(j, sc.time, sc.tries, 92)
	most := func(service string) (at, v float64) {
		return extreme(j.Seconds, func(s chaos.Second) float64 { return s.Mesh[service].Tries })
	}
	named := slices.DeleteFunc(slices.Clone(hurt), func(s string) bool { return !slices.Contains(services, s) })
	rest := slices.DeleteFunc(slices.Clone(services), func(s string) bool { return slices.Contains(named, s) })
	slices.SortStableFunc(rest, func(a, b string) int {
		_, x := most(a)
		_, y := most(b)
		return int(math.Copysign(1, y-x))
	})
	for len(named) < 4 && len(rest) > 0 {
		if _, v := most(rest[0]); !(v > 1.005) {
			break
		}
		named, rest = append(named, rest[0]), rest[1:]
	}
	named = named[:min(len(named), 4)]
	var said []string
	draw := func(class, service string) {
		p.line(class, series(j.Seconds, func(s chaos.Second) float64 {
			if m := s.Mesh[service]; m.Calls > 0 {
				return m.Tries
			}
			return math.NaN()
		}))
	}
	for _, service := range services {
		if !slices.Contains(named, service) {
			draw("c-context", service)
		}
	}
	for i, service := range slices.Backward(named) {
		draw(fmt.Sprint("c", i+1), service)
	}
	for i, service := range named {
		f.Keys = append(f.Keys, key{Class: fmt.Sprint("c", i+1), Text: service})
		if at, v := most(service); !math.IsNaN(v) {
			said = append(said, fmt.Sprintf("%s at most %s at %s", service, number(v), clock(at)))
		}
	}
	if len(named) < len(services) {
		f.Keys = append(f.Keys, key{Class: "c-context", Text: "other services"})
	}
	f.Note = "per request, of the edge: " + byPhase(j, func(s chaos.Stats) string { return tries(s.Tries) })
	f.SVG = p.done("Tries per call by service called: " + strings.Join(said, ", ") + ". " + f.Note + ".")
	return f
}

// unwatched says why there is nothing to see of the mesh.
func unwatched(j *chaos.Journal) string {
	if j.Unwatched != "" {
		return "The mesh was not watched: " + j.Unwatched
	}
	return "The mesh was not watched."
}
