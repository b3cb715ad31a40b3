package action

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// slowKind delays every answer of its victims.
var slowKind = kind{
	name: "slow", on: onInstances,
	needs: []string{"target", "latency"}, takes: []string{"every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		return r.fault(ctx, v, runner.Faults{Latency: r.spec.Latency.String()},
			fmt.Sprintf("answers %s later", r.spec.Latency), faultLatency)
	},
}

// failKind has its victims refuse a share of the requests, before any effect.
var failKind = kind{
	name: "fail", on: onInstances,
	needs: []string{"target", "rate"}, takes: []string{"code", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		return r.fault(ctx, v, runner.Faults{ErrorRate: r.spec.Rate, Code: r.spec.Code},
			fmt.Sprintf("fails %g %% of its requests", r.spec.Rate*100), faultErrors)
	},
}

const undoFaults = "faults"

// The groups of runner.Faults that one action sets and the others leave alone.
const (
	faultLatency = "latency"
	faultErrors  = "errors"
	faultBurn    = "burn"
)

// with returns f with the group's fields taken from other.
func with(f, other runner.Faults, groups ...string) runner.Faults {
	if slices.Contains(groups, faultLatency) {
		f.Latency = other.Latency
	}
	if slices.Contains(groups, faultErrors) {
		f.ErrorRate, f.Code = other.ErrorRate, other.Code
	}
	if slices.Contains(groups, faultBurn) {
		f.Burn, f.BurnFor = other.Burn, other.BurnFor
	}
	return f
}

// same compares faults as the instance tells them: no latency is "0s", and how
// long a burn still goes on says nothing.
func same(a, b runner.Faults) bool {
	for _, f := range []*runner.Faults{&a, &b} {
		if f.Latency == "0s" {
			f.Latency = ""
		}
		if f.ErrorRate == 0 {
			f.Code = ""
		}
		f.BurnFor = ""
	}
	return a == b
}

// fault sets groups of an instance's faults.
func (r *Running) fault(ctx context.Context, v victim, f runner.Faults, text string, groups ...string) error {
	reader, ok := r.lab.fleet.(runner.FaultReader)
	if !ok {
		return errors.New("this mesh does not tell its faults, so that they could not be put back")
	}
	before, err := reader.FaultsOf(ctx, v.name)
	if err != nil {
		return err
	}
	u := undo{Kind: undoFaults, Name: v.name, PID: v.instance.PID, Fields: groups, Faults: &before}
	err = r.change(u, func() error { return r.lab.fleet.Faults(ctx, v.name, with(before, f, groups...)) })
	if err == nil {
		r.say(v.name, text, nil)
	}
	return err
}

// clearFaults gives the changed groups their values of before. An instance that
// was restarted meanwhile has lost them all.
func clearFaults(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	reader, ok := fleet.(runner.FaultReader)
	if !ok || u.Faults == nil {
		return "", errors.New("this mesh does not tell its faults")
	}
	did := ""
	return did, await(ctx, "still has its faults", func() (bool, error) {
		state, err := fleet.State(ctx)
		if err != nil {
			return false, err
		}
		i, ok := instance(state, u.Name)
		if !ok || i.PID != 0 && i.PID != u.PID {
			return true, nil
		}
		now, err := reader.FaultsOf(ctx, u.Name)
		if err != nil {
			return false, err
		}
		wanted := with(now, *u.Faults, u.Fields...)
		if same(now, wanted) {
			return true, nil
		}
		did = u.Name + " behaves again"
		return false, fleet.Faults(ctx, u.Name, wanted)
	})
}
