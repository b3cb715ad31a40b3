package action

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// killKind ends processes. What is ended comes back by itself: at once, or after
// restart-after.
var killKind = kind{
	name: "kill", on: onBoth, takesDown: true,
	needs: []string{"target"}, takes: []string{"signal", "every", "restart-after"},
	once: func(ctx context.Context, r *Running, v victim) error {
		sig := syscall.SIGKILL
		if r.spec.Signal != "" {
			sig = signalOf(r.spec.Signal)
		}
		text := "sent " + unix.SignalName(sig)
		send := func() error { return r.lab.fleet.Signal(ctx, v.name, sig) }
		if d := r.spec.RestartAfter; d > 0 {
			holder, ok := r.lab.fleet.(runner.Holder)
			if !ok {
				return errors.New("restart-after: this mesh cannot keep anything down")
			}
			text += fmt.Sprintf(", down for %s", d)
			send = func() error { return holder.Hold(ctx, v.name, sig, d) }
		}
		err := r.change(undo{Kind: undoRun, Name: v.name}, send)
		if err == nil {
			r.say(v.name, text, nil)
		}
		return err
	},
}

// pauseKind freezes processes: their connections stay open and nobody answers.
var pauseKind = kind{
	name: "pause", on: onBoth, takesDown: true,
	needs: []string{"target"}, takes: []string{"every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		err := r.change(undo{Kind: undoResume, Name: v.name}, func() error {
			if err := r.lab.fleet.Signal(ctx, v.name, syscall.SIGSTOP); err != nil {
				return err
			}
			return await(ctx, "is not paused", func() (bool, error) {
				status, err := statusOf(ctx, r.lab.fleet, v.name)
				return status == "paused", err
			})
		})
		if err == nil {
			r.say(v.name, "paused", nil)
		}
		return err
	},
}

// restartKind ends processes in good order; they start again at once.
var restartKind = kind{
	name: "restart", on: onBoth, takesDown: true,
	needs: []string{"target"}, takes: []string{"every"},
	once: func(ctx context.Context, r *Running, v victim) error {
		err := r.change(undo{Kind: undoRun, Name: v.name}, func() error { return r.lab.fleet.Restart(ctx, v.name) })
		if err == nil {
			r.say(v.name, "restarted", nil)
		}
		return err
	},
}

const (
	undoRun    = "run"
	undoResume = "resume"
)

// runAgain waits for what was killed, and starts what is kept down.
func runAgain(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	status, err := statusOf(ctx, fleet, u.Name)
	if err != nil || status == "running" || status == "" || status == "paused" {
		return "", err
	}
	if status == "stopped" && !backSoon(ctx, fleet, u.Name) {
		if err := fleet.Restart(ctx, u.Name); err != nil {
			return "", err
		}
	}
	err = await(ctx, "does not run yet", func() (bool, error) {
		status, err := statusOf(ctx, fleet, u.Name)
		return status == "running", err
	})
	return u.Name + " runs again", err
}

// backSoon gives a process that has just ended the moment in which its
// supervisor notices: one that is kept down stays "stopped".
func backSoon(ctx context.Context, fleet runner.Fleet, name string) bool {
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	return await(short, "", func() (bool, error) {
		status, err := statusOf(ctx, fleet, name)
		return status != "stopped", err
	}) == nil
}

// resume thaws what is paused.
func resume(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	status, err := statusOf(ctx, fleet, u.Name)
	if err != nil || status != "paused" {
		return "", err
	}
	if err := fleet.Signal(ctx, u.Name, syscall.SIGCONT); err != nil {
		return "", err
	}
	err = await(ctx, "is still paused", func() (bool, error) {
		status, err := statusOf(ctx, fleet, u.Name)
		return status != "paused", err
	})
	return "resumed " + u.Name, err
}
