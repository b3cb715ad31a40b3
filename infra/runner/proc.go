package runner

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// process is a process this tool once started, possibly from another run.
type process struct {
	name     string
	pid      int
	identity string // see identify; "" matches nothing
}

// alive says whether the very process that was recorded still runs. A zombie
// whose parent never reaps it counts as gone.
func (p process) alive() bool {
	if p.pid <= 0 || p.identity == "" {
		return false
	}
	id, state, err := identify(p.pid)
	return err == nil && id == p.identity && state != 'Z' && state != 'X'
}

// signal sends sig if the process is still the recorded one, and never to a
// later process with the same pid: on Linux os.FindProcess pins the process
// (pidfd) before the identity is compared.
func (p process) signal(sig syscall.Signal) error {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return os.ErrProcessDone
	}
	defer handle.Release() //nolint:errcheck // nothing depends on it
	if !p.alive() {
		return os.ErrProcessDone
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// gone waits until the process has ended or ctx does.
func (p process) gone(ctx context.Context) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.alive() {
		select {
		case <-ctx.Done():
			return !p.alive()
		case <-tick.C:
		}
	}
	return true
}

// endAll asks the processes to end, all at once, and kills those that have not
// after grace. SIGCONT lets a paused one hear the request.
func endAll(procs []process, grace time.Duration) {
	for _, p := range procs {
		_ = p.signal(syscall.SIGTERM)
		_ = p.signal(syscall.SIGCONT)
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, p := range procs {
		if !p.gone(ctx) {
			_ = p.signal(syscall.SIGKILL)
		}
	}
	// A killed process needs a moment to disappear.
	ctx, cancelKill := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancelKill()
	for _, p := range procs {
		p.gone(ctx)
	}
}
