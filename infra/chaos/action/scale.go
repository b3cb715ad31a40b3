package action

import (
	"context"
	"fmt"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// scaleKind sets the number of a service's instances.
var scaleKind = kind{
	name: "scale", on: onInstances,
	needs: []string{"target", "instances"}, takes: []string{"for"},
	wide: true,
	once: func(ctx context.Context, r *Running, v victim) error {
		state, err := r.lab.fleet.State(ctx)
		if err != nil {
			return err
		}
		all := instancesOf(state, v.name)
		healthy := len(healthyOf(ctx, state, all))
		if left := min(healthy, r.spec.Instances); left < r.target.MinHealthy {
			return tooFew("scale", r.target, left, healthy)
		}
		err = r.change(undo{Kind: undoScale, Name: v.name, Count: len(all)}, func() error {
			return r.lab.fleet.Scale(ctx, v.name, r.spec.Instances)
		})
		if err == nil {
			r.say(v.name, fmt.Sprintf("from %d instances to %d", len(all), r.spec.Instances), nil)
		}
		return err
	},
}

const undoScale = "scale"

// scaleBack gives a service its number of instances again, and waits until they
// run.
func scaleBack(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	state, err := fleet.State(ctx)
	if err != nil {
		return "", err
	}
	if len(instancesOf(state, u.Name)) == u.Count {
		return "", nil
	}
	if err := fleet.Scale(ctx, u.Name, u.Count); err != nil {
		return "", err
	}
	err = await(ctx, "has not its instances yet", func() (bool, error) {
		state, err := fleet.State(ctx)
		running := 0
		all := instancesOf(state, u.Name)
		for _, i := range all {
			if i.Status == "running" {
				running++
			}
		}
		return len(all) == u.Count && running == u.Count, err
	})
	return fmt.Sprintf("%s has %d instances again", u.Name, u.Count), err
}

// rollingKind restarts every instance of a service, one after another, each when
// the one before is healthy again.
var rollingKind = kind{
	name: "rolling-restart", on: onInstances,
	needs: []string{"target"}, wide: true,
	long: func(ctx context.Context, r *Running) (func(context.Context) error, error) {
		state, err := r.lab.fleet.State(ctx)
		if err != nil {
			return nil, err
		}
		all := instancesOf(state, r.target.Service)
		healthy := len(healthyOf(ctx, state, all))
		if healthy-1 < r.target.MinHealthy {
			return nil, tooFew("rolling-restart", r.target, healthy-1, healthy)
		}
		return func(ctx context.Context) error {
			for _, i := range all {
				if err := r.roll(ctx, i, healthy); err != nil {
					return err
				}
			}
			return nil
		}, nil
	},
}

// roll restarts one instance and waits until the service is as healthy as before.
func (r *Running) roll(ctx context.Context, i runner.Instance, healthy int) error {
	ctx, cancel := context.WithTimeout(ctx, rollPatience)
	defer cancel()
	err := r.change(undo{Kind: undoRun, Name: i.ID}, func() error { return r.lab.fleet.Restart(ctx, i.ID) })
	if err != nil {
		return err
	}
	r.say(i.ID, "restarted", nil)
	return await(ctx, "is not healthy again", func() (bool, error) {
		state, err := r.lab.fleet.State(ctx)
		if err != nil {
			return false, err
		}
		now, _ := instance(state, i.ID)
		back := now.Status == "running" && (now.PID != i.PID || now.PID == 0)
		return back && len(healthyOf(ctx, state, instancesOf(state, i.Service))) >= healthy, nil
	})
}

const rollPatience = time.Minute // for one instance
