package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

var _ runner.FaultReader = (*Fleet)(nil)

// execPatience bounds a command that runs inside a container.
const execPatience = 10 * time.Second

// Signal sends sig to the main process of a container. SIGSTOP and SIGCONT
// freeze and thaw the whole container instead, so that everybody, docker ps
// too, sees the pause. What ends a service's container is started again: by
// the engine after a crash, by the stack's supervisor after a kill.
func (f *Fleet) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	switch sig {
	case syscall.SIGSTOP:
		if m.State == "paused" {
			return nil
		}
		_, err = f.engine.ContainerPause(ctx, m.ID, client.ContainerPauseOptions{})
	case syscall.SIGCONT:
		if m.State != "paused" {
			return nil
		}
		_, err = f.engine.ContainerUnpause(ctx, m.ID, client.ContainerUnpauseOptions{})
	default:
		_, err = f.engine.ContainerKill(ctx, m.ID, client.ContainerKillOptions{Signal: strconv.Itoa(int(sig))})
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", sig, m.name(), err)
	}
	return nil
}

// Restart ends a container in good order, within its grace, and starts it.
func (f *Fleet) Restart(ctx context.Context, name string) error {
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	if hold, err := f.holdOf(ctx, m.ID); err == nil && hold > 0 { // its end is now
		if err := f.setHold(ctx, m.ID, 0); err != nil {
			return fmt.Errorf("end the hold of %s: %w", m.name(), err)
		}
	}
	if _, err := f.engine.ContainerRestart(ctx, m.ID, client.ContainerRestartOptions{}); err != nil {
		return fmt.Errorf("restart %s: %w", m.name(), err)
	}
	return nil
}

// Faults asks an instance's admin server, from inside its container: the
// stack's network cannot be reached from every kind of host.
func (f *Fleet) Faults(ctx context.Context, name string, faults runner.Faults) error {
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	if !m.instance() {
		return fmt.Errorf("%s is a part: faults can be injected into instances of services only", m.name())
	}
	body, err := json.Marshal(faults)
	if err != nil {
		return fmt.Errorf("encode the faults: %w", err)
	}
	if _, err := f.run(ctx, m, "/bin/kitmesh", "faults", adminURL(""), string(body)); err != nil {
		return fmt.Errorf("set the faults of %s: %w", m.name(), err)
	}
	return nil
}

// FaultsOf asks for them in the same way.
func (f *Fleet) FaultsOf(ctx context.Context, name string) (faults runner.Faults, err error) {
	m, err := f.find(ctx, name)
	if err != nil {
		return faults, err
	}
	text, err := f.run(ctx, m, "/bin/kitmesh", "faults", adminURL(""))
	if err == nil {
		err = json.Unmarshal(text, &faults)
	}
	if err != nil {
		return faults, fmt.Errorf("ask for the faults of %s: %w", m.name(), err)
	}
	return faults, nil
}

// run executes a command in a container and returns what it printed, which is
// the error when it exits with anything but 0.
func (f *Fleet) run(ctx context.Context, m member, command ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, execPatience)
	defer cancel()
	created, err := f.engine.ExecCreate(ctx, m.ID, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, err
	}
	attached, err := f.engine.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)() // the stream itself knows no deadline
	var output bytes.Buffer
	if _, err := stdcopy.StdCopy(&output, &output, attached.Reader); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	ended, err := f.engine.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err != nil {
		return nil, err
	}
	if ended.ExitCode != 0 {
		return nil, fmt.Errorf("exit code %d: %s", ended.ExitCode, strings.TrimSpace(output.String()))
	}
	return output.Bytes(), nil
}

// Logs copies what a container printed; with follow until ctx ends.
func (f *Fleet) Logs(ctx context.Context, name string, follow bool, w io.Writer) error {
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	logs, err := f.engine.ContainerLogs(ctx, m.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow})
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", m.name(), err)
	}
	defer logs.Close()
	if _, err := stdcopy.StdCopy(w, w, logs); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the log of %s: %w", m.name(), err)
	}
	return nil
}
