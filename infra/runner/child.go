package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is one supervised process and its successors. The goroutine in run
// owns the process; everybody else asks through requests.
type child struct {
	sup      *Supervisor
	spec     spec
	requests chan request
	cancel   context.CancelFunc
	done     chan struct{} // closed when the process has ended for good

	// guarded by sup.mu
	status   string
	pid      int
	identity string
	restarts int
}

// request asks a child's owner to end the process now and to start the next
// one after hold.
type request struct {
	signal syscall.Signal
	hold   time.Duration
	reply  chan error // one answer: the process has ended
}

// The states of instances and parts.
const (
	statusRunning    = "running"
	statusPaused     = "paused"
	statusRestarting = "restarting"
	statusStopped    = "stopped" // on purpose: held down, or never started
)

// running is a started process and the news of its end.
type running struct {
	cmd     *exec.Cmd
	exited  chan struct{} // closed when it has ended
	started time.Time
}

// run starts the process again and again until ctx ends; then it ends the
// process in good order and returns.
func (c *child) run(ctx context.Context) {
	defer close(c.done)
	var pause backoff
	for starts := 0; ; starts++ {
		if starts > 0 && c.spec.before != nil {
			c.prepare(ctx)
		}
		p, err := c.start(starts)
		if err != nil {
			c.sup.log("%s does not start: %v", c.spec.name, err)
		}
		var wait time.Duration
		if err == nil {
			var planned bool
			if wait, planned = c.watch(ctx, p); !planned && ctx.Err() == nil {
				c.sup.log("%s ended (%s)", c.spec.name, exitText(p.cmd))
				wait = pause.next(time.Since(p.started))
			}
		} else {
			wait = pause.next(0)
		}
		if ctx.Err() != nil || !c.rest(ctx, wait) {
			c.set(statusStopped, 0, "")
			return
		}
		if pause.young > 2 && c.spec.renew != nil {
			c.renew()
		}
	}
}

// prepare runs the spec's before with a bound.
func (c *child) prepare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	c.spec.before(ctx)
}

// renew replaces the spec's ports; the state learns them at the next start.
func (c *child) renew() {
	c.sup.mu.Lock()
	defer c.sup.mu.Unlock()
	if err := c.spec.renew(&c.spec); err != nil {
		c.sup.log("%s keeps its ports: %v", c.spec.name, err)
	}
}

// start spawns the process. What is needed to find it later is on disk before
// (its name, and its environment's mark) and after (its pid).
func (c *child) start(starts int) (*running, error) {
	if starts > 0 {
		c.sup.mu.Lock()
		c.restarts++
		c.sup.mu.Unlock()
	}
	c.set(statusRestarting, 0, "")
	out, err := os.OpenFile(c.sup.dirs.log(c.spec.name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(c.spec.path, c.spec.args...)
	cmd.Stdout, cmd.Stderr = out, out // a file, not a pipe: the child outlives us unharmed
	cmd.Env = append(append(os.Environ(), c.spec.env...), c.sup.dirs.mark())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is ours alone
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &running{cmd: cmd, exited: make(chan struct{}), started: time.Now()}
	if c.spec.nice > 0 {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, c.spec.nice)
	}
	id, _, err := identify(cmd.Process.Pid) // cannot be another's: not reaped yet
	if err != nil {
		c.sup.log("%s cannot be identified: %v", c.spec.name, err)
	}
	c.set(statusRunning, cmd.Process.Pid, id)
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// watch waits for the end of the process, whoever wants it, and returns the
// pause somebody asked for and whether the end was planned.
func (c *child) watch(ctx context.Context, p *running) (pause time.Duration, planned bool) {
	select {
	case <-p.exited:
		c.set(statusRestarting, 0, "")
		return 0, false
	case <-ctx.Done():
		c.end(p, syscall.SIGTERM)
		return 0, true
	case req := <-c.requests:
		c.end(p, req.signal)
		c.ended(req)
		return req.hold, true
	}
}

// ended writes down that a request was followed, then answers it.
func (c *child) ended(req request) {
	status := statusRestarting
	if req.hold > 0 {
		status = statusStopped
	}
	c.set(status, 0, "")
	req.reply <- nil
}

// end signals the process and waits; one that does not go in time is killed.
func (c *child) end(p *running, sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused process hears nothing
	timer := time.NewTimer(c.spec.patience())
	defer timer.Stop()
	select {
	case <-p.exited:
		return
	case <-c.sup.hurry:
	case <-timer.C:
		c.sup.log("%s does not end; killing it", c.spec.name)
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// rest waits before the next start; a request in the meantime sets the wait
// anew. It returns false when ctx ends.
func (c *child) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		case req := <-c.requests:
			timer.Reset(req.hold)
			c.ended(req)
		}
	}
}

// ask hands a request to the owner and waits for the answer.
func (c *child) ask(ctx context.Context, sig syscall.Signal, hold time.Duration) error {
	req := request{signal: sig, hold: hold, reply: make(chan error, 1)}
	select {
	case c.requests <- req:
	case <-c.done:
		return fmt.Errorf("%s is stopping", c.spec.name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-req.reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// set changes the public state and writes it to disk.
func (c *child) set(status string, pid int, identity string) {
	c.sup.mu.Lock()
	c.status, c.pid, c.identity = status, pid, identity
	c.sup.mu.Unlock()
	c.sup.persist()
}

func exitText(cmd *exec.Cmd) string {
	if cmd.ProcessState == nil {
		return "unknown"
	}
	return cmd.ProcessState.String()
}

var errUnknownName = errors.New("nothing here has that name")
