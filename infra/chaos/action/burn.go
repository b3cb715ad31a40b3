package action

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// burnKind burns processor time: in its victims or, without a target, beside the
// mesh on this machine. Wherever it burns, it ends by itself after 10 min.
var burnKind = kind{
	name: "burn", on: onInstances,
	needs: []string{"workers"}, takes: []string{"target", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		text := fmt.Sprintf("burns %d processors", r.spec.Workers)
		if v.instance == nil {
			return r.burnMachine(v, text)
		}
		f := runner.Faults{Burn: r.spec.Workers, BurnFor: cmp.Or(r.spec.For, maxWorking).String()}
		return r.fault(ctx, v, f, text, faultBurn)
	},
}

// burner is the program that burns this machine: kitmesh itself.
var burner = func(workers int) (*exec.Cmd, error) {
	exe, err := os.Executable()
	return exec.Command(exe, "burn", "--workers", strconv.Itoa(workers)), err
}

// burnMachine has a child of this process burn. It needs no entry in the log: the
// child ends with the pipe that this process holds, however that ends.
func (r *Running) burnMachine(v victim, text string) error {
	cmd, err := burner(r.spec.Workers)
	if err != nil {
		return err
	}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start what burns: %w", err)
	}
	r.say(v.name, text, nil)
	r.work.Go(func() {
		defer func() { _ = cmd.Wait() }()
		defer pipe.Close()
		select {
		case <-r.life.Done():
		case <-time.After(cmp.Or(r.spec.For, maxWorking)):
		}
	})
	return nil
}

// UntilClosed returns a channel that is closed when in ends, as a pipe does with
// the process that holds its other end.
func UntilClosed(in io.Reader) <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, in)
	}()
	return closed
}
