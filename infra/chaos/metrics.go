package chaos

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric is something that a probe can measure.
type metric struct {
	kind    string // the provider's type
	name    string
	says    string
	unit    unit
	least   bool     // a tolerance of one number is the least, not the most
	fields  []string // that the provider takes besides type and metric
	needs   []string // of them, those it must have
	aa      bool     // says something of a baseline, too: it can be compared with itself
	live    bool     // can be watched each second
	measure func(m *measured, p Probe, w, base window) (value, error)
}

// value is a number with what a reader should know of it.
type value struct {
	x     float64
	of    string // "of 24,000"
	bound string
}

// unit is how a number reads.
type unit string

const (
	percentUnit unit = "%"
	millis      unit = "ms"
	secondsUnit unit = "s"
	times       unit = "x"
	megabytes   unit = "MB"
	number1     unit = ""
)

func (u unit) text(x float64) string {
	switch u {
	case percentUnit:
		return percent(x)
	case millis:
		return fmt.Sprintf("%.1f ms", x)
	case secondsUnit:
		return fmt.Sprintf("%.1f s", x)
	case times:
		return fmt.Sprintf("%.2fx", x)
	case megabytes:
		return fmt.Sprintf("%.1f MB", x)
	}
	return strconv.FormatFloat(math.Round(x*1000)/1000, 'f', -1, 64)
}

// percent rounds down, so that it never rounds a failure away.
func percent(share float64) string { return fmt.Sprintf("%.3f %%", math.Floor(share*1e5+1e-6)/1e3) }

// The metrics by type of provider. docs/experiments.md lists them for users; a
// test holds the two together.
var metrics = []metric{
	{kind: "load", name: "success", says: "answered without an error", unit: percentUnit, least: true, fields: ofLoad, aa: true, live: true, measure: shareOf(func(s sample) bool { return s.failed }, "fail")},
	{kind: "load", name: "whole", says: "answered with nothing missing", unit: percentUnit, least: true, fields: ofLoad, aa: true, live: true, measure: shareOf(func(s sample) bool { return !s.whole() }, "fail or lack a part")},
	{kind: "load", name: "failures", says: "failed requests", fields: ofLoad, aa: true, live: true, measure: countOf(func(s sample) bool { return s.failed })},
	{kind: "load", name: "p50_ms", says: "median latency", unit: millis, fields: ofLoad, aa: true, live: true, measure: latency(.5, everything)},
	{kind: "load", name: "p99_ms", says: "p99 latency", unit: millis, fields: ofLoad, aa: true, live: true, measure: latency(.99, everything)},
	{kind: "load", name: "p999_ms", says: "p99.9 latency", unit: millis, fields: ofLoad, aa: true, measure: latency(.999, everything)},
	{kind: "load", name: "max_ms", says: "longest latency", unit: millis, fields: ofLoad, aa: true, live: true, measure: latency(1, everything)},
	{kind: "load", name: "failed_p99_ms", says: "p99 latency of what fails", unit: millis, fields: ofLoad, measure: latency(.99, onlyFailed)},
	{kind: "load", name: "p50_vs_baseline", says: "median latency against the baseline", unit: times, fields: ofLoad, aa: true, measure: stretch(.5, everything)},
	{kind: "load", name: "p99_vs_baseline", says: "p99 latency against the baseline", unit: times, fields: ofLoad, aa: true, measure: stretch(.99, everything)},
	{kind: "load", name: "served_p99_vs_baseline", says: "p99 latency of what is served, against the baseline", unit: times, fields: ofLoad, aa: true, measure: stretch(.99, onlyServed)},
	{kind: "load", name: "tries_per_request", says: "gateways the edge asked per request", fields: ofLoad, aa: true, measure: edgeTries},
	{kind: "load", name: "goodput_of_capacity", says: "served per second, of the capacity", unit: percentUnit, least: true, fields: ofLoad, measure: goodput},
	{kind: "load", name: "longest_gap_s", says: "longest time without a success", unit: secondsUnit, fields: ofLoad, aa: true, measure: longestGap},
	{kind: "load", name: "recovered_after_s", says: "last failure after the fault", unit: secondsUnit, fields: []string{"op"}, measure: recoveredAfter},

	{kind: "mesh", name: "tries_per_call", says: "tries per call", fields: []string{"service", "phase"}, needs: []string{"service"}, aa: true, measure: perCall(func(s ServiceSeconds) float64 { return s.Tries })},
	{kind: "mesh", name: "retries_per_call", says: "tries per call that followed one that failed", unit: percentUnit, fields: []string{"service", "phase"}, needs: []string{"service"}, aa: true, measure: perCall(func(s ServiceSeconds) float64 { return s.Retries })},
	{kind: "mesh", name: "victim_share", says: "share of the tries that go to the victims, from 1 s after the first blow on", unit: percentUnit, fields: []string{"service"}, needs: []string{"service"}, measure: victimShare},
	{kind: "mesh", name: "ejected_after_s", says: "until a caller holds a victim out", unit: secondsUnit, fields: []string{"service"}, needs: []string{"service"}, measure: ejectedAfter},
	{kind: "mesh", name: "registered_after_s", says: "from Consul's return until everybody is registered", unit: secondsUnit, measure: registeredAfter},
	{kind: "mesh", name: "rolled_back_after_s", says: "until a canary is taken away", unit: secondsUnit, fields: []string{"service"}, needs: []string{"service"}, measure: rolledBackAfter},

	{kind: "process", name: "rss_growth_mb", says: "most memory an instance gained during the fault", unit: megabytes, fields: []string{"service"}, needs: []string{"service"}, measure: memoryGrowth},

	{kind: "audit", name: "", says: "violations the audit found", fields: []string{"check"}, needs: []string{"check"}, measure: violations},
}

var ofLoad = []string{"op", "phase"}

func findMetric(kind, name string) (metric, bool) {
	i := slices.IndexFunc(metrics, func(m metric) bool { return m.kind == kind && m.name == name })
	if i < 0 {
		return metric{}, false
	}
	return metrics[i], true
}

func metricNames(kind string) (names []string) {
	for _, m := range metrics {
		if m.kind == kind && m.name != "" {
			names = append(names, m.name)
		}
	}
	return names
}

func (p Probe) metric() metric {
	m, _ := findMetric(p.Type, p.Metric) // the parser has found it
	return m
}

func (p Probe) stoppable() bool { return p.metric().live }

// says is the row's name in a table of results, as "p99 latency (browse, in the
// fault)".
func (p Probe) says() string {
	m := p.metric()
	var of []string
	for _, word := range []string{p.Op, p.Service, p.Check} {
		if word != "" && word != "all" {
			of = append(of, word)
		}
	}
	if slices.Contains(m.fields, "phase") {
		of = append(of, map[string]string{
			phaseBaseline: "before the fault", phaseFault: "in the fault", phaseRecovery: "after the fault", phaseAll: "throughout",
		}[p.Phase])
	}
	if len(of) == 0 {
		return m.says
	}
	return m.says + " (" + strings.Join(of, ", ") + ")"
}

// text is the tolerance as people read it.
func (t Tolerance) text(u unit) string {
	switch {
	case t.Min == t.Max:
		return "exactly " + u.text(t.Min)
	case t.Min == 0 && t.Max < unbounded:
		return "at most " + u.text(t.Max)
	case t.Max == unbounded || t.Max == 1 && u == percentUnit:
		return "at least " + u.text(t.Min)
	}
	return u.text(t.Min) + " to " + u.text(t.Max)
}

func (t Tolerance) holds(x float64) bool { return x >= t.Min && x <= t.Max }

// grain makes numbers of a journal short.
func grain(x float64) float64 { return math.Round(x*1e6) / 1e6 }

func everything(sample) bool   { return true }
func onlyFailed(s sample) bool { return s.failed }
func onlyServed(s sample) bool { return !s.failed }

func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func span(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
