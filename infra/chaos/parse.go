package chaos

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

// grammar lists the fields of each kind of object. experiments/schema.json says
// the same to editors; a test holds them together.
var grammar = map[string][]string{
	"experiment":     {"version", "title", "description", "seed", "mesh", "targets", "load", "steady-state-hypothesis", "method", "stop-conditions", "rollbacks"},
	"mesh":           {"instances", "work", "workers", "proxies"},
	"target":         {"service", "part", "select", "pick", "min-healthy"},
	"load":           {"model", "rate", "fault-rate", "arrivals", "mix", "warmup", "baseline", "duration", "recovery", "deadline", "checkout-deadline"},
	"mix":            {"browse", "checkout"},
	"hypothesis":     {"title", "probes"},
	"probe":          {"type", "name", "provider", "tolerance"},
	"measure":        {"type", "metric", "op", "service", "check", "phase"},
	"step":           {"type", "name", "background", "at", "provider"},
	"action":         {"type", "action", "target", "signal", "every", "for", "restart-after", "latency", "jitter", "rate", "code", "instances", "version", "peers", "workers"},
	"stop-condition": {"probe", "below", "above", "for"},
}

const (
	maxFile  = 1 << 20 // bytes
	maxPhase = 24 * time.Hour
	minPhase = 2 * time.Second // less shows nothing
	maxRate  = 100_000
)

// healAll is the action of rollbacks: undo whatever is not undone.
const healAll = "heal-all"

// ReadFile reads the experiment in a file. What is wrong with the text comes as
// Problems.
func ReadFile(path string) (Experiment, error) {
	f, err := os.Open(path)
	if err != nil {
		return Experiment{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Experiment{}, err
	}
	return Parse(path, data)
}

// Parse reads the text of an experiment; file is its name in Problems and, less
// .yaml, the experiment's.
func Parse(file string, data []byte) (Experiment, error) {
	r := &reader{file: file}
	root, ok := r.document(data)
	if !ok {
		return Experiment{}, r.problems
	}
	e := r.experiment(root)
	e.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return Experiment{}, r.problems
	}
	return e, nil
}

// document returns the one document of a file.
func (r *reader) document(data []byte) (*yaml.Node, bool) {
	if len(data) > maxFile {
		r.complain(1, "", "the file is longer than %d bytes; an experiment is a page", maxFile)
		return nil, false
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		r.complain(1, "", "the file is empty; begin with \"version: 1\"")
		return nil, false
	}
	if err == nil {
		if err = dec.Decode(&more); errors.Is(err, io.EOF) {
			return resolve(doc.Content[0]), true
		}
		if err == nil {
			r.complain(more.Line, "", "a second document begins here; one file is one experiment")
			return nil, false
		}
	}
	r.complain(yamlLine(err), "", "this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	return nil, false
}

// yamlLine finds the line in "yaml: line 7: did not find ...".
func yamlLine(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "line ")
	digits, _, _ := strings.Cut(rest, ":")
	n, _ := strconv.Atoi(digits)
	return n
}

func (r *reader) experiment(n *yaml.Node) Experiment {
	o := r.object(n, "", "experiment")
	if o.need("version", "1") && o.integer("version", 1, 1) != 1 {
		return Experiment{} // another version has other fields
	}
	e := Experiment{Title: o.text("title"), Description: o.text("description"), Targets: map[string]action.Target{}}
	o.need("title", "kill -9 one catalog instance every 2s")
	e.Seed = uint64(o.integer("seed", 0, 1<<53))
	e.Mesh = o.mesh()
	if o.has("targets") {
		for key, value := range r.pairs(o.fields["targets"], "targets") {
			e.Targets[key.Value] = r.target(value, "targets."+key.Value)
		}
	}
	if o.need("load", "{rate: 50, baseline: 20s, duration: 30s}") {
		e.Load = o.object("load", "load").load()
	}
	if o.need("steady-state-hypothesis", "{title: ..., probes: [...]}") {
		e.Hypothesis = o.object("steady-state-hypothesis", "hypothesis").hypothesis(e)
	}
	e.Method = o.steps("method", e)
	if len(e.Method) == 0 && e.Load.FaultRate == (Rate{}) && o.has("load") {
		o.complain("method", "nothing happens; write an action, or a load.fault-rate")
	}
	e.StopConditions = o.stopConditions(e.Hypothesis.Probes)
	e.Rollbacks = o.steps("rollbacks", e)
	return e
}

func (o object) mesh() MeshOptions {
	m := o.object("mesh", "mesh")
	options := MeshOptions{Instances: 3, Work: m.span("work", 0, time.Minute), Workers: m.integer("workers", 1, 1000), Proxies: m.boolean("proxies")}
	if m.has("instances") {
		options.Instances = m.integer("instances", 1, 50)
	}
	if options.Workers > 0 && !m.has("work") {
		m.complain("workers", "goes with work, as in {work: 25ms, workers: 3}")
	}
	return options
}

func (r *reader) target(n *yaml.Node, path string) action.Target {
	o := r.object(n, path, "target")
	t := action.Target{
		Service: o.text("service"), Part: o.text("part"), Select: o.text("select"), Pick: o.text("pick"),
		MinHealthy: o.integer("min-healthy", 0, 50),
	}
	for _, p := range t.Check() {
		o.complain(p.Field, "%s", p.Text)
	}
	return t
}

// Defaults of a load.
const (
	defaultWarmup           = 5 * time.Second
	defaultRecovery         = 10 * time.Second
	defaultDeadline         = time.Second
	defaultCheckoutDeadline = 3 * time.Second
)

func (o object) load() Load {
	o.oneOf("model", "open")
	l := Load{
		Arrivals:         cmp.Or(o.oneOf("arrivals", "uniform", "poisson"), "uniform"),
		Mix:              o.mix(),
		Warmup:           o.spanOr("warmup", 0, defaultWarmup),
		Baseline:         o.span("baseline", minPhase, maxPhase),
		Duration:         o.span("duration", minPhase, maxPhase),
		Recovery:         o.spanOr("recovery", 0, defaultRecovery),
		Deadline:         o.spanOr("deadline", time.Millisecond, defaultDeadline),
		CheckoutDeadline: o.spanOr("checkout-deadline", time.Millisecond, defaultCheckoutDeadline),
	}
	if o.need("rate", "50, or 60%capacity") {
		l.Rate = o.rate("rate")
	}
	l.FaultRate = o.rate("fault-rate")
	o.need("baseline", "20s")
	o.need("duration", "30s")
	if l.FaultRate.PerSecond > 0 && l.Rate.PerSecond > 0 && l.FaultRate.PerSecond < l.Rate.PerSecond ||
		l.FaultRate.Capacity > 0 && l.Rate.Capacity > 0 && l.FaultRate.Capacity < l.Rate.Capacity {
		o.complain("fault-rate", "write a rate above that of rate: more customers come during the fault")
	}
	return l
}

func (o object) spanOr(field string, low, def time.Duration) time.Duration {
	if !o.has(field) {
		return def
	}
	return o.span(field, low, maxPhase)
}

// rate reads 50 or 60%capacity.
func (o object) rate(field string) Rate {
	n := o.fields[field]
	if n == nil {
		return Rate{}
	}
	if x, ok := number(n); ok && x > 0 && x <= maxRate {
		return Rate{PerSecond: x}
	}
	if percent, ok := strings.CutSuffix(strings.ReplaceAll(n.Value, " ", ""), "%capacity"); ok {
		if x, err := strconv.ParseFloat(percent, 64); err == nil && x > 0 && x <= 2000 {
			return Rate{Capacity: x / 100}
		}
	}
	o.complain(field, "write requests per second up to %d, as 50, or a share of the capacity up to 2000 %%, as 60%%capacity, not %s", maxRate, describe(n))
	return Rate{}
}

func (o object) mix() map[string]float64 {
	if !o.has("mix") {
		return map[string]float64{"browse": 80, "checkout": 20}
	}
	m := o.object("mix", "mix")
	mix := map[string]float64{}
	sum, before := 0.0, len(o.r.problems)
	for _, op := range grammar["mix"] {
		if weight := m.number(op, 0, 1e6); weight > 0 {
			mix[op] = weight
			sum += weight
		}
	}
	if sum == 0 && len(o.r.problems) == before {
		o.complain("mix", "asks for nothing; write {browse: 80, checkout: 20}")
	}
	return mix
}

func (o object) steps(field string, e Experiment) (steps []Step) {
	names := slices.Sorted(maps.Keys(e.Targets))
	for path, n := range o.list(field) {
		s := o.r.object(n, path, "step")
		s.need("type", "action")
		s.oneOf("type", "action")
		step := Step{Name: s.text("name"), At: s.duration("at")}
		s.need("name", "kill")
		if d := e.Load.Duration; d > 0 && step.At >= d {
			s.complain("at", "write a time before the end of the fault phase, which lasts %s", d)
		}
		if s.has("background") && !s.boolean("background") {
			s.complain("background", "write true or nothing: an action lasts until its \"for\" is over or the phase ends, and \"at\" says when it begins")
		}
		if !s.need("provider", "{type: mesh, action: kill, target: victim}") {
			continue
		}
		p := s.object("provider", "action")
		p.need("type", "mesh")
		p.oneOf("type", "mesh")
		step.Action = p.spec()
		if step.Action.Action == healAll && field == "rollbacks" {
			steps = append(steps, step)
			continue
		}
		for _, problem := range step.Action.Check() {
			p.complain(problem.Field, "%s", problem.Text)
		}
		if t := step.Action.Target; t != "" && !slices.Contains(names, t) {
			p.complain("target", "%q is none of the targets%s; they are %s", t, didYouMean(t, names), cmp.Or(strings.Join(names, ", "), "none"))
		}
		steps = append(steps, step)
	}
	return steps
}

func (o object) spec() action.Spec {
	return action.Spec{
		Action: o.text("action"), Target: o.text("target"), Signal: o.text("signal"),
		Every: o.duration("every"), For: o.duration("for"), RestartAfter: o.duration("restart-after"),
		Latency: o.duration("latency"), Jitter: o.duration("jitter"), Rate: o.number("rate", 0, 1),
		Code: o.text("code"), Instances: o.integer("instances", 0, 50), Version: o.text("version"),
		Peers: o.texts("peers"), Workers: o.integer("workers", 0, 1000),
	}
}

func (o object) stopConditions(probes []Probe) (conditions []StopCondition) {
	var names []string
	for _, p := range probes {
		if p.stoppable() {
			names = append(names, p.Name)
		}
	}
	for path, n := range o.list("stop-conditions") {
		s := o.r.object(n, path, "stop-condition")
		c := StopCondition{Probe: s.text("probe"), For: s.spanOr("for", time.Second, time.Second)}
		if s.need("probe", "reads") && c.Probe != "" && !slices.Contains(names, c.Probe) {
			s.complain("probe", "%q is none of the probes that can be watched each second%s; those are %s",
				c.Probe, didYouMean(c.Probe, names), cmp.Or(strings.Join(names, ", "), "none: they are of type load and need no capacity"))
		}
		if s.has("below") == s.has("above") {
			s.complain("below", "write either below or above, with the number at which to stop")
			continue
		}
		limit := s.number("below", 0, maxRate) + s.number("above", 0, maxRate)
		if s.has("below") {
			c.Below = &limit
		} else {
			c.Above = &limit
		}
		conditions = append(conditions, c)
	}
	return conditions
}

// List reads every experiment of a folder, by name. Files that cannot be read
// are in the error; the others are still returned.
func List(dir string) ([]Experiment, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there is no experiment in %s", dir)
	}
	var experiments []Experiment
	var wrong []error
	for _, file := range files {
		e, err := ReadFile(file)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		experiments = append(experiments, e)
	}
	return experiments, errors.Join(wrong...)
}
