package chaos

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// The phases.
const (
	phaseWarmup   = "warm-up"
	phaseBaseline = "baseline"
	phaseFault    = "fault"
	phaseRecovery = "recovery"
	phaseAll      = "all"
)

// unbounded is the upper end of a tolerance that has none.
const unbounded = 1e9

func (o object) hypothesis(e Experiment) Hypothesis {
	h := Hypothesis{Title: o.text("title")}
	o.need("title", "customers notice nothing")
	o.need("probes", "a list with at least one probe")
	names := map[string]bool{}
	for path, n := range o.list("probes") {
		p := o.r.object(n, path, "probe")
		probe := p.probe(e)
		if names[probe.Name] {
			p.complain("name", "there are two probes called %q; each has a name of its own", probe.Name)
		}
		names[probe.Name] = probe.Name != ""
		h.Probes = append(h.Probes, probe)
	}
	if n := o.fields["probes"]; n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		o.complain("probes", "the list is empty; a hypothesis has at least one probe")
	}
	return h
}

func (o object) probe(e Experiment) Probe {
	o.need("type", "probe")
	o.oneOf("type", "probe")
	o.need("name", "reads")
	probe := Probe{Name: o.text("name")}
	if !o.need("provider", "{type: load, metric: success, op: browse}") {
		return probe
	}
	p := o.object("provider", "measure")
	p.need("type", "load")
	probe.Type = p.oneOf("type", "load", "mesh", "process", "audit")
	if probe.Type == "" {
		return probe
	}
	if probe.Type == "audit" {
		if p.has("metric") {
			p.complain("metric", "an audit has none; it has a check")
		}
	} else if p.need("metric", metricNames(probe.Type)[0]) {
		probe.Metric = p.oneOf("metric", metricNames(probe.Type)...)
	}
	m, known := findMetric(probe.Type, probe.Metric)
	if !known {
		return probe
	}
	p.details(m, &probe)
	if m.name == "goodput_of_capacity" && e.Mesh.Work == 0 && e.Load.Rate.Capacity == 0 && e.Load.FaultRate.Capacity == 0 {
		p.complain("metric", "needs a capacity: write mesh: {work: 25ms, workers: 3}, or a rate as 60%%capacity")
	}
	if o.need("tolerance", "1.0, or [0, 1.5]") {
		probe.Tolerance = o.tolerance(m)
	}
	return probe
}

// details reads the fields that narrow a metric down.
func (o object) details(m metric, p *Probe) {
	examples := map[string]string{"service": "pricing", "check": "all"}
	for _, field := range []string{"op", "service", "check", "phase"} {
		if o.has(field) && !slices.Contains(m.fields, field) {
			o.complain(field, "%s does not take it; it takes %s", cmp.Or(m.name, "audit"), cmp.Or(strings.Join(m.fields, ", "), "none"))
		}
		if slices.Contains(m.needs, field) {
			o.need(field, examples[field])
		}
	}
	p.Op = o.oneOf("op", load.Browse, load.Checkout)
	p.Service = o.oneOf("service", runner.Services...)
	p.Check = o.oneOf("check", append([]string{"all"}, audit.Names()...)...)
	p.Phase = cmp.Or(o.oneOf("phase", phaseBaseline, phaseFault, phaseRecovery, phaseAll), phaseFault)
}

// tolerance reads [min, max], or one number: the least where more is better,
// else the most.
func (o object) tolerance(m metric) Tolerance {
	n := o.fields["tolerance"]
	highest := float64(unbounded)
	if m.unit == percentUnit && m.name != "goodput_of_capacity" {
		highest = 1
	}
	if n.Kind == yaml.SequenceNode {
		var ends []float64
		for _, child := range n.Content {
			if x, ok := number(resolve(child)); ok && x >= 0 && x <= highest {
				ends = append(ends, x)
			}
		}
		if len(n.Content) != 2 || len(ends) != 2 || ends[0] > ends[1] {
			o.complain("tolerance", "write two numbers from 0 to %s, the lower first, as [0, 1.5]", decimal(highest))
			return Tolerance{}
		}
		return Tolerance{ends[0], ends[1]}
	}
	x, ok := number(n)
	switch {
	case !ok || x < 0 || x > highest:
		o.complain("tolerance", "write a number from 0 to %s, or a range as [0, 1.5], not %s", decimal(highest), describe(n))
		return Tolerance{}
	case m.least:
		return Tolerance{x, highest}
	}
	return Tolerance{0, x}
}

// mix is the mix in load's form, in a fixed order.
func (l Load) shares() load.Mix {
	var mix load.Mix
	for _, op := range slices.Sorted(maps.Keys(l.Mix)) {
		mix = append(mix, load.Share{Op: op, Weight: l.Mix[op]})
	}
	return mix
}
