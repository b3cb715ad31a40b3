// Package report shows what experiments came to: one HTML file that needs
// nothing else, not even a network.
package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

var (
	//go:embed page.html
	pageText string
	//go:embed style.css
	styleText string
	//go:embed cursor.js
	scriptText string

	page = template.Must(template.New("page").Funcs(template.FuncMap{
		"percent": percent, "number": number, "count": count, "ms": ms, "clock": clock, "moment": moment,
		"tenths": tenths, "tries": tries,
		"failures": failures, "confidence": confidence, "plural": plural,
	}).Parse(pageText))
)

// document is what the page shows.
type document struct {
	Title  string
	Style  template.CSS
	Script template.JS
	Policy template.HTML
	Counts []string // "mesh: 11 held, 1 deviated"; of several runs
	Groups []group
	Single bool
}

// group is one experiment, run on one stack or on several.
type group struct {
	ID, Name, Title, Description string
	Runs                         []run
	Rows                         []row
	Pair                         bool
}

// run is one journal and its pictures.
type run struct {
	*chaos.Journal
	ID      string
	Label   string // names it beside the others
	Verdict verdict
	Meta    []fact
	Keys    []fact // the numbers to know
	Strip   figure
	Charts  []figure
	Traffic []figure // of the services that were hurt
	Others  []figure // of the other services
	Axis    template.HTML
	Range   string // of the axis, in seconds
}

// fact is a number with its name and what to hold against it.
type fact struct{ Name, Value, More string }

// verdict is how a run ended, for the eye.
type verdict struct{ Word, Class, Mark, Meaning string }

// verdictOf is total: journals may come from anywhere.
func verdictOf(word string) verdict {
	switch word {
	case "held":
		return verdict{"Held", "held", "✓", "every probe is within its tolerance"}
	case "deviated":
		return verdict{"Deviated", "deviated", "✗", "a probe is not within its tolerance"}
	case "violated":
		return verdict{"Violated", "violated", "✗✗", "the audit found something lost, doubled or wrong"}
	case "aborted":
		return verdict{"Aborted", "aborted", "■", "it was ended before its time"}
	case "inconclusive":
		return verdict{"Inconclusive", "inconclusive", "?", "the run cannot tell"}
	}
	return verdict{cmp.Or(word, "Unknown"), "inconclusive", "?", "no verdict that this report knows"}
}

// row is a probe, with what each run of the group says of it.
type row struct {
	Name, Says, Tolerance string
	Cells                 []cell // by run
}

type cell struct {
	*chaos.ProbeResult // nil: the run has no such probe
	Noise              string
}

// HTML writes a report of the journals. Runs of one experiment stand side by
// side, with the same scales; several experiments begin with a summary.
func HTML(w io.Writer, journals []chaos.Journal) error {
	d := document{
		Style: template.CSS(styleText), Script: template.JS(scriptText),
		Policy: policy(),
		Single: len(journals) == 1, Title: "Chaos experiments",
	}
	for i, name := range names(journals) {
		var of []chaos.Journal
		for _, j := range journals {
			if j.Name == name {
				of = append(of, j)
			}
		}
		d.Groups = append(d.Groups, newGroup(i+1, of))
	}
	if d.Single {
		r := d.Groups[0].Runs[0]
		d.Title = fmt.Sprintf("%s: %s", cmp.Or(r.Name, "experiment"), strings.ToLower(r.Verdict.Word))
	}
	d.Counts = tally(journals)
	if err := page.Execute(w, d); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// policy lets a browser load nothing, not even from this file's own place.
func policy() template.HTML {
	return template.HTML(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ` + hash(styleText) +
		"; script-src " + hash(scriptText) + `; base-uri 'none'; form-action 'none'"/>`)
}

// hash lets a browser run what is in the page and nothing that was smuggled in.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// names are the experiments in the order of their first runs.
func names(journals []chaos.Journal) (all []string) {
	for _, j := range journals {
		if !slices.Contains(all, j.Name) {
			all = append(all, j.Name)
		}
	}
	return all
}

// tally counts the verdicts by stack.
func tally(journals []chaos.Journal) (lines []string) {
	var stacks []string
	for _, j := range journals {
		if !slices.Contains(stacks, j.Stack) {
			stacks = append(stacks, j.Stack)
		}
	}
	for _, stack := range stacks {
		var parts []string
		for _, word := range []string{"held", "deviated", "violated", "aborted", "inconclusive"} {
			n := 0
			for _, j := range journals {
				if j.Stack == stack && j.Verdict == word {
					n++
				}
			}
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, word))
			}
		}
		lines = append(lines, stackName(stack)+": "+strings.Join(parts, ", "))
	}
	return lines
}

func stackName(stack string) string {
	switch stack {
	case "", "mesh":
		return "kitmesh"
	case "stock":
		return "stock go-kit"
	}
	return stack
}

func newGroup(n int, journals []chaos.Journal) group {
	first := journals[0]
	g := group{
		ID: fmt.Sprintf("x%d", n), Name: first.Name, Title: first.Title, Description: first.Description,
		Pair: len(journals) > 1,
	}
	sc, about := scalesOf(journals), subjectsOf(journals)
	labels := map[string]int{}
	for i := range journals {
		r := newRun(&journals[i], sc, about)
		r.ID = fmt.Sprintf("%s-%d", g.ID, i+1)
		labels[r.Label]++
		if seen := labels[r.Label]; seen > 1 {
			r.Label = fmt.Sprintf("%s, run %d", r.Label, seen)
		}
		g.Runs = append(g.Runs, r)
	}
	g.Rows = rows(journals)
	return g
}

func newRun(j *chaos.Journal, sc scales, about subjects) run {
	r := run{
		Journal: j, Label: stackName(j.Stack), Verdict: verdictOf(j.Verdict),
		Meta: meta(j), Keys: keys(j),
		Strip: figure{Keys: eventKeys(j.Events), SVG: strip(j, sc.time)},
		Charts: []figure{
			successFigure(j, sc), latencyFigure(j, sc), throughputFigure(j, sc),
			triesFigure(j, sc, about.hurt), lanesFigure(j, sc, about),
		},
		Axis: timeLabels(sc.time), Range: short(sc.time.from) + " " + short(sc.time.to),
	}
	if len(servicesOf(j)) > 0 {
		shown := about.struck()
		for _, service := range shown {
			r.Traffic = append(r.Traffic, trafficFigure(j, sc, about, service))
		}
		for _, service := range servicesOf(j) {
			if !slices.Contains(shown, service) {
				r.Others = append(r.Others, trafficFigure(j, sc, about, service))
			}
		}
	}
	return r
}

// rows lines up the probes of the runs by name.
func rows(journals []chaos.Journal) (out []row) {
	for i, j := range journals {
		for k := range j.Probes {
			p := &j.Probes[k]
			at := slices.IndexFunc(out, func(r row) bool { return r.Name == p.Name && r.Tolerance == p.Tolerance })
			if at < 0 {
				out = append(out, row{Name: p.Name, Says: p.Says, Tolerance: p.Tolerance, Cells: make([]cell, len(journals))})
				at = len(out) - 1
			}
			c := cell{ProbeResult: p}
			if p.Noise != 0 {
				c.Noise = number(p.Noise)
			}
			out[at].Cells[i] = c
		}
	}
	return out
}

// meta says what was run, where and when.
func meta(j *chaos.Journal) (facts []fact) {
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{Name: name, Value: value})
		}
	}
	add("stack", stackName(j.Stack))
	add("target", j.Target)
	add("rate", rateOf(j))
	if !j.Began.IsZero() {
		add("began", j.Began.UTC().Format("2006-01-02 15:04:05 UTC"))
		if j.Ended.After(j.Began) {
			add("took", span(j.Ended.Sub(j.Began)))
		}
	}
	add("seed", fmt.Sprint(j.Seed))
	return facts
}

func rateOf(j *chaos.Journal) string {
	if j.Rate <= 0 {
		return ""
	}
	return number(j.Rate) + "/s"
}

// phase finds a phase's numbers; nil if there are none.
func phase(j *chaos.Journal, name string) *chaos.Stats {
	for i := range j.Phases {
		if p := &j.Phases[i]; p.Name == name && p.Stats.Requests > 0 {
			return &p.Stats
		}
	}
	return nil
}

// keys are the numbers that answer most questions.
func keys(j *chaos.Journal) (facts []fact) {
	fault, before := phase(j, "fault"), phase(j, "baseline")
	if fault != nil {
		facts = append(facts,
			fact{"success", percent(fault.Success), "of " + count(fault.Requests) + more("; ", confidence(*fault))},
			fact{"p99", ms(fault.P99), compared(fault.P99, before)},
			fact{"slowest", ms(fault.Max), ""},
			fact{"tries per request", tries(fault.Tries), ""},
		)
	}
	if a := j.Audit; a != nil {
		facts = append(facts, fact{"violations", count(int64(a.Violations)), "audit of the whole run, " + plural(a.Orders, "order")})
	}
	return facts
}

func more(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func compared(p99 float64, before *chaos.Stats) string {
	if before == nil {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintf("baseline %s: %s", ms(before.P99), ratio(p99, before.P99)), ": ")
}

// TraceURL is where the traces of the run are; empty when nobody knows.
func (r run) TraceURL(id string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(r.Zipkin, "/"), "/zipkin")
	if id == "" || !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return ""
	}
	return base + "/zipkin/traces/" + url.PathEscape(id)
}

// Stats are the numbers of a phase; nil if there are none.
func (r run) Stats(name string) *chaos.Stats { return phase(r.Journal, name) }

// In is the run as the page draws it: alone or beside others.
func (r run) In(pair bool) any {
	return struct {
		ID   string
		Pair bool
		Run  run
	}{r.ID, pair, r}
}

// List is a table of requests of the run.
func (r run) List(title string, requests []chaos.Request) any {
	return struct {
		Title    string
		Run      run
		Requests []chaos.Request
	}{title, r, requests}
}

// FullName tells the run from all others of the page.
func (r run) FullName() string { return r.Name + ", " + r.Label }

// Failures reports whether any phase has one.
func (r run) Failures() bool {
	return slices.ContainsFunc(r.Phases, func(p chaos.Phase) bool { return len(p.Stats.Failures) > 0 })
}
