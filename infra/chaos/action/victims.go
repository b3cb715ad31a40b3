package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// The values of Target.Pick.
const (
	pickRound  = "round-robin"
	pickRandom = "random"
	pickSame   = "same"
)

// victim is an instance or a part that an action is done to.
type victim struct {
	name     string
	instance *runner.Instance // nil for a part
}

// name is what a target aims at.
func (t Target) name() string { return cmp.Or(t.Service, t.Part, "the machine") }

// victims returns who is next, and refuses where too few would be left.
func (r *Running) victims(ctx context.Context, kind kind) ([]victim, error) {
	if r.target == (Target{}) {
		return []victim{{name: r.target.name()}}, nil
	}
	if kind.wide {
		return []victim{{name: r.target.Service}}, nil
	}
	state, err := r.lab.fleet.State(ctx)
	if err != nil {
		return nil, err
	}
	if r.target.Part != "" {
		if !slices.ContainsFunc(state.Parts, func(p runner.Part) bool { return p.Name == r.target.Part }) {
			return nil, fmt.Errorf("%s does not run in this mesh", r.target.Part)
		}
		return []victim{{name: r.target.Part}}, nil
	}
	all := instancesOf(state, r.target.Service)
	healthy := healthyOf(ctx, state, all)
	if len(healthy) == 0 {
		return nil, fmt.Errorf("no instance of %s is running and healthy", r.target.Service)
	}
	chosen := r.choose(all, healthy)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%v is not running and healthy", r.last)
	}
	if left := len(healthy) - len(chosen); kind.takesDown && left < r.target.MinHealthy {
		return nil, tooFew(kind.name, r.target, left, len(healthy))
	}
	return chosen, nil
}

func tooFew(action string, t Target, left, healthy int) error {
	return fmt.Errorf("it would leave %d healthy instances of %s, of %d now, and min-healthy is %d: %s is refused",
		left, t.Service, healthy, t.MinHealthy, action)
}

// instancesOf lists a service's instances that belong to it by number, canaries
// excepted.
func instancesOf(state runner.State, service string) []runner.Instance {
	var all []runner.Instance
	for _, i := range state.Instances {
		if i.Service == service && !i.Extra {
			all = append(all, i)
		}
	}
	return all
}

// healthyOf keeps those that run and that Consul holds for passing. When Consul
// does not answer, running is enough.
func healthyOf(ctx context.Context, state runner.State, all []runner.Instance) []runner.Instance {
	health, err := runner.Health(ctx, state.Consul)
	var healthy []runner.Instance
	for _, i := range all {
		if i.Status == "running" && (err != nil || health[i.ID] == "passing") {
			healthy = append(healthy, i)
		}
	}
	return healthy
}

// choose picks of the healthy as many as the target selects of all. The first
// round begins where the seed says; round-robin goes on behind its last victim.
func (r *Running) choose(all, healthy []runner.Instance) []victim {
	count, _ := selection(r.target.Select) // Check has read it
	want := min(count(len(all)), len(healthy))
	order := slices.Clone(all)
	switch {
	case r.target.Pick == pickSame && len(r.last) > 0:
		order = slices.DeleteFunc(order, func(i runner.Instance) bool { return !slices.Contains(r.last, i.ID) })
	case r.target.Pick == pickRandom:
		r.chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	case len(r.last) > 0:
		behind := slices.IndexFunc(order, func(i runner.Instance) bool { return i.ID == r.last[len(r.last)-1] }) + 1
		order = slices.Concat(order[behind:], order[:behind])
	default:
		first := r.chance.IntN(len(order))
		order = slices.Concat(order[first:], order[:first])
	}
	var chosen []victim
	var names []string
	for _, i := range order {
		if len(chosen) < want && slices.ContainsFunc(healthy, func(h runner.Instance) bool { return h.ID == i.ID }) {
			chosen = append(chosen, victim{i.ID, &i})
			names = append(names, i.ID)
		}
	}
	if len(names) > 0 {
		r.last = names
	}
	return chosen
}
