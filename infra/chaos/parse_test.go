package chaos

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

const sample1 = `version: 1
title: kill one
seed: 42
mesh: {instances: 3, work: 30ms, workers: 3}
targets:
  victim: {service: catalog, select: COUNT(1), pick: round-robin, min-healthy: 2}
load: {model: open, rate: 60%capacity, warmup: 10s, baseline: 30s, duration: 150s, mix: {browse: 80, checkout: 20}, deadline: 1s}
steady-state-hypothesis:
  title: customers notice nothing
  probes:
  - {type: probe, name: reads, provider: {type: load, metric: success, op: browse}, tolerance: 1.0}
  - {type: probe, name: p99, provider: {type: load, metric: p99_vs_baseline}, tolerance: [0, 1.5]}
  - {type: probe, name: tries, provider: {type: mesh, metric: tries_per_call, service: catalog}, tolerance: 1.08}
  - {type: probe, name: audit, provider: {type: audit, check: all}, tolerance: 0}
method:
- {type: action, name: kill, background: true, provider: {type: mesh, action: kill, signal: KILL, target: victim, every: 2s, restart-after: 300ms}}
stop-conditions:
- {probe: reads, below: 0.9, for: 3s}
rollbacks:
- {type: action, name: heal, provider: {type: mesh, action: heal-all}}
`

func TestParse(t *testing.T) {
	e, err := Parse("experiments/kill-one.yaml", []byte(sample1))
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != "kill-one" || e.Seed != 42 || e.Mesh != (MeshOptions{Instances: 3, Work: 30 * time.Millisecond, Workers: 3}) {
		t.Errorf("%+v", e)
	}
	if e.Targets["victim"] != (action.Target{Service: "catalog", Select: "COUNT(1)", Pick: "round-robin", MinHealthy: 2}) {
		t.Errorf("%+v", e.Targets)
	}
	l := e.Load
	if l.Rate != (Rate{Capacity: .6}) || l.Duration != 150*time.Second || l.Recovery != defaultRecovery || l.Mix["browse"] != 80 || l.CheckoutDeadline != 3*time.Second {
		t.Errorf("%+v", l)
	}
	want := []Tolerance{{1, 1}, {0, 1.5}, {0, 1.08}, {0, 0}}
	for i, p := range e.Hypothesis.Probes {
		if p.Tolerance != want[i] || p.Phase != phaseFault {
			t.Errorf("%+v, want %v", p, want[i])
		}
	}
	if s := e.Method[0].Action; s.Every != 2*time.Second || s.RestartAfter != 300*time.Millisecond || s.Target != "victim" || s.Signal != "KILL" {
		t.Errorf("%+v", s)
	}
	if c := e.StopConditions[0]; *c.Below != .9 || c.Above != nil || c.For != 3*time.Second {
		t.Errorf("%+v", c)
	}
	if e.Rollbacks[0].Action.Action != healAll {
		t.Errorf("%+v", e.Rollbacks)
	}
}

// mistake is a change to sample1 and what the parser says of it.
type mistake struct {
	from, to   string
	line       int
	says       string
	parserOnly bool // a schema cannot see it
}

var mistakes = []mistake{
	{"version: 1", "version: 2", 1, "version: write a whole number from 1 to 1", false},
	{"version: 1\n", "", 1, "version: is missing; write version: 1", false},
	{"title: kill one", "titel: kill one", 2, "titel: there is no such field (did you mean title?)", false},
	{"title: kill one", "title: ''", 2, "title: write a text", false},
	{"seed: 42", "seed: -1", 3, "seed: write a whole number", false},
	{"seed: 42", "seed: [42]", 3, "seed: write a whole number from 0 to 9007199254740992, not a list", false},
	{"seed: 42", "seed: 42\nseed: 43", 4, "seed: the field is there twice", false},
	{"work: 30ms, ", "", 4, "mesh.workers: goes with work", false},
	{"instances: 3", "instances: 0", 4, "mesh.instances: write a whole number from 1 to 50", false},
	{"service: catalog, select", "service: catalogue, select", 6, "targets.victim.service: ", false},
	{"select: COUNT(1)", "select: SOME", 6, "targets.victim.select: ", false},
	{"service: catalog, select", "part: consul, service: catalog, select", 6, "targets.victim.service: ", false},
	{"rate: 60%capacity", "rate: 60%", 7, "load.rate: write requests per second", false},
	{"rate: 60%capacity", "rate: 0", 7, "load.rate: write requests per second", false},
	{"rate: 60%capacity, ", "", 7, "load.rate: is missing; write rate: 50, or 60%capacity", false},
	{"baseline: 30s", "baseline: 30", 7, "load.baseline: write a duration with its unit", false},
	{"baseline: 30s", "baseline: 1s", 7, "load.baseline: write a duration of 2s to 24h0m0s, not 1s", true},
	{"duration: 150s", "duration: soon", 7, `not "soon"`, false},
	{"mix: {browse: 80, checkout: 20}", "mix: {browse: 0}", 7, "load.mix: asks for nothing", true},
	{"mix: {browse: 80, checkout: 20}", "mix: {brows: 80}", 7, "load.mix.brows: there is no such field (did you mean browse?)", false},
	{"mix: {browse: 80, checkout: 20}", "mix: 80", 7, "load.mix: write fields here", false},
	{"deadline: 1s", "deadline: 1s, fault-rate: 50%capacity", 7, "load.fault-rate: write a rate above", true},
	{"model: open", "model: closed", 7, "load.model: write one of open", false},
	{"name: p99", "name: reads", 12, `there are two probes called "reads"`, true},
	{"metric: success", "metric: sucess", 11, "steady-state-hypothesis.probes[0].provider.metric: write one of success, whole", false},
	{"metric: success", "metric: sucess", 11, "(did you mean success?)", false},
	{"op: browse}", "op: steal}", 11, "provider.op: write one of browse, checkout", false},
	{"metric: p99_vs_baseline", "metric: p99_vs_baseline, service: catalog", 12, "provider.service: p99_vs_baseline does not take it", true},
	{"service: catalog}, tolerance", "service: catalog, op: browse}, tolerance", 13, "provider.op: tries_per_call does not take it", true},
	{", service: catalog}", "}", 13, "provider.service: is missing; write service: pricing", true},
	{"check: all", "check: everything", 14, "provider.check: write one of all, durability", false},
	{"check: all", "check: all, metric: x", 14, "provider.metric: an audit has none", false},
	{"tolerance: 1.0", "tolerance: 100", 11, "tolerance: write a number from 0 to 1", true},
	{"tolerance: [0, 1.5]", "tolerance: [2, 1.5]", 12, "tolerance: write two numbers", true},
	{"tolerance: [0, 1.5]", "tolerance: .nan", 12, "tolerance: write a number", false},
	{", tolerance: 1.0", "", 11, "tolerance: is missing", false},
	{"action: kill", "action: hug", 16, `method[0].provider.action: there is no "hug"`, false},
	{"target: victim", "target: victims", 16, `method[0].provider.target: "victims" is none of the targets (did you mean victim?)`, true},
	{"background: true", "background: false", 16, "method[0].background: write true or nothing", false},
	{"background: true", "at: 150s", 16, "method[0].at: write a time before the end of the fault phase, which lasts 2m30s", true},
	{"every: 2s", "every: 2s, evry: 3s", 16, "evry: there is no such field (did you mean every?)", false},
	{"every: 2s", "every: 2s, latency: 3s", 16, "provider.latency: kill does not take it", true},
	{"type: mesh, action: kill", "type: http, action: kill", 16, "provider.type: write one of mesh", false},
	{"probe: reads", "probe: p99", 18, "is none of the probes that can be watched", true},
	{"below: 0.9", "below: 0.9, above: 1", 18, "write either below or above", false},
	{"title: kill one", "title: [kill one", 1, "this is not YAML", false},
	{"version: 1", "{}", 1, "this is not YAML", false},
	{"title: kill one", "title: one\n---\ntitle: two", 3, "a second document begins here", false},
}

func (m mistake) in(t *testing.T) []byte {
	t.Helper()
	text := strings.Replace(sample1, m.from, m.to, 1)
	if text == sample1 {
		t.Fatalf("%q is not in the sample", m.from)
	}
	return []byte(text)
}

func TestParseSaysWhatToWrite(t *testing.T) {
	for _, m := range mistakes {
		_, err := Parse("x.yaml", m.in(t))
		problems, ok := errors.AsType[Problems](err)
		if !ok {
			t.Errorf("%s -> %s: %v", m.from, m.to, err)
			continue
		}
		found := false
		for _, p := range problems {
			found = found || p.Line == m.line && strings.Contains(p.String(), m.says)
		}
		if !found || len(problems) > 2 {
			t.Errorf("%s -> %s: want %q in line %d, got\n%v", m.from, m.to, m.says, m.line, err)
		}
	}
}

// All mistakes come at once, in the order of the lines.
func TestParseCollectsMistakes(t *testing.T) {
	text := sample1
	for _, m := range []mistake{mistakes[2], mistakes[7], mistakes[9], mistakes[12]} {
		text = strings.Replace(text, m.from, m.to, 1)
	}
	_, err := Parse("dir/x.yaml", []byte(text))
	problems, _ := errors.AsType[Problems](err)
	if len(problems) < 4 {
		t.Fatalf("%v", err)
	}
	for i, p := range problems[1:] {
		if p.Line < problems[i].Line {
			t.Errorf("not in order:\n%v", err)
		}
	}
	if !strings.HasPrefix(err.Error(), "dir/x.yaml:1: title: is missing") {
		t.Errorf("begins with %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample1))
	for _, m := range mistakes {
		f.Add([]byte(strings.Replace(sample1, m.from, m.to, 1)))
	}
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Parse("x.yaml", text)
		if err != nil {
			if problems, ok := errors.AsType[Problems](err); !ok || len(problems) == 0 || problems[0].Line < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		// Whatever is accepted can be run.
		if e.Load.Lasts() <= 0 || len(e.Hypothesis.Probes) == 0 || e.Title == "" {
			t.Fatalf("%+v", e)
		}
		for _, p := range e.Hypothesis.Probes {
			if p.says() == "" || p.metric().measure == nil || p.Tolerance.Min > p.Tolerance.Max {
				t.Fatalf("%+v", p)
			}
		}
	})
}

func TestReadFile(t *testing.T) {
	if _, err := ReadFile("no/such/file.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := List(t.TempDir()); err == nil {
		t.Error("an empty folder has experiments")
	}
	all, err := List("../../experiments")
	if err != nil || len(all) < 12 {
		t.Errorf("%d experiments: %v", len(all), err)
	}
}
