package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Local is a mesh of processes on this machine, seen through its state.json.
// Whatever needs no supervisor works without one.
type Local struct{ dirs dirs }

var (
	_ Fleet       = (*Local)(nil)
	_ Holder      = (*Local)(nil)
	_ FaultReader = (*Local)(nil)
)

// Open returns the local mesh of that name; an error if none is up and none
// was left behind.
func Open(name string) (*Local, error) {
	d, err := meshDirs(name)
	if err != nil {
		return nil, err
	}
	l := &Local{dirs: d}
	if _, err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Local) load() (record, error) {
	r, err := loadRecord(l.dirs)
	if errors.Is(err, errNoState) {
		return r, fmt.Errorf("no mesh is up in %s; start it with kitmesh up", l.dirs.root)
	}
	return r, err
}

// State lists what runs now, checked against the processes themselves.
func (l *Local) State(context.Context) (State, error) {
	r, err := l.load()
	if err != nil {
		return State{}, err
	}
	for i := range r.Instances {
		in := &r.Instances[i]
		in.Status, in.RSSBytes = observe(in.Status, process{in.ID, in.PID, r.Identity[in.ID]})
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		p.Status, p.RSSBytes = observe(p.Status, process{p.Name, p.PID, r.Identity[p.Name]})
	}
	return r.State, nil
}

// observe corrects a recorded status by what the process does.
func observe(status string, p process) (string, int64) {
	if status != statusRunning {
		return status, 0
	}
	if !p.alive() {
		return statusStopped, 0
	}
	if _, letter, err := identify(p.pid); err == nil && (letter == 'T' || letter == 't') {
		status = statusPaused
	}
	return status, rssBytes(p.pid)
}

// find returns the process of that name.
func (r record) find(name string) (process, error) {
	pid := -1
	for _, i := range r.Instances {
		if i.ID == name {
			pid = i.PID
		}
	}
	for _, p := range r.Parts {
		if p.Name == name {
			pid = p.PID
		}
	}
	switch {
	case pid < 0:
		return process{}, fmt.Errorf("%s: %w", name, errUnknownName)
	case pid == 0:
		return process{}, fmt.Errorf("%s does not run right now", name)
	}
	return process{name, pid, r.Identity[name]}, nil
}

// Signal sends sig to one instance or part, with or without a supervisor.
func (l *Local) Signal(_ context.Context, name string, sig syscall.Signal) error {
	r, err := l.load()
	if err != nil {
		return err
	}
	p, err := r.find(name)
	if err != nil {
		return err
	}
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("%s (pid %d) does not run any more", name, p.pid)
	}
	return nil
}

// Restart ends one instance or part in good order and starts it again.
func (l *Local) Restart(ctx context.Context, name string) error {
	return l.command(ctx, "/restart", order{Name: name})
}

// Scale sets the number of a service's instances.
func (l *Local) Scale(ctx context.Context, service string, n int) error {
	return l.command(ctx, "/scale", order{Service: service, N: n})
}

// Hold ends one instance or part with sig and keeps it down for d.
func (l *Local) Hold(ctx context.Context, name string, sig syscall.Signal, d time.Duration) error {
	return l.command(ctx, "/hold", order{Name: name, Signal: sig, For: d})
}

func (l *Local) command(ctx context.Context, path string, o order) error {
	r, err := l.load()
	if err != nil {
		return err
	}
	return r.command(ctx, path, o)
}

// Logs copies the log of one instance or part to w.
func (l *Local) Logs(ctx context.Context, name string, follow bool, w io.Writer) error {
	return copyLog(ctx, l.dirs.log(name), follow, w)
}
