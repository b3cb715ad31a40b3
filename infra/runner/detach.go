package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// DetachedEnv is set for the supervisor process that Detach starts.
const DetachedEnv = "KITMESH_SUPERVISE"

// Detach runs this program again with args, as the supervisor of the mesh in a
// session of its own, and waits until the mesh is ready. What the supervisor
// says goes to its log and, while it starts, to out. When ctx ends before, the
// supervisor is ended too.
func Detach(ctx context.Context, name string, args []string, out Output) (State, error) {
	d, err := meshDirs(name)
	if err != nil {
		return State{}, err
	}
	if err := d.make(); err != nil {
		return State{}, err
	}
	logFile, err := os.CreateTemp(d.logs(), "starting-*") // a loser of the race must not write into the winner's log
	if err != nil {
		return State{}, fmt.Errorf("create the supervisor's log: %w", err)
	}
	defer logFile.Close()
	reader, err := os.Open(logFile.Name()) // before the start: the supervisor renames it
	if err != nil {
		return State{}, fmt.Errorf("read the supervisor's log: %w", err)
	}
	defer reader.Close()
	exe, err := os.Executable()
	if err != nil {
		return State{}, fmt.Errorf("find kitmesh: %w", err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), DetachedEnv+"="+logFile.Name())
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = os.Remove(logFile.Name())
		return State{}, fmt.Errorf("start the supervisor: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return awaitReady(ctx, d, cmd.Process, exited, reader, out)
}

// adoptLog makes the log Detach opened the supervisor's own; call it once the
// mesh's lock is held.
func adoptLog(d dirs) {
	if file := os.Getenv(DetachedEnv); file != "" {
		_ = os.Rename(file, d.log(supervisorName))
		_ = os.Unsetenv(DetachedEnv) // the children are no supervisors
	}
}

// awaitReady waits for the supervisor to be ready, to find another one that
// is, or to fail.
func awaitReady(ctx context.Context, d dirs, supervisor *os.Process, exited chan error, log *os.File, out Output) (State, error) {
	relay := &lineWriter{line: out.Line}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			_, _ = log.WriteTo(relay)
			_ = os.Remove(log.Name())
			if err != nil {
				return State{}, errors.New(relay.failure)
			}
			r, err := loadRecord(d)
			return r.State, err
		case <-ctx.Done():
			_ = supervisor.Signal(syscall.SIGTERM)
			err := <-exited // bounded: the supervisor's own stop is
			return State{}, errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
		_, _ = log.WriteTo(relay)
		r, err := loadRecord(d)
		holder, ok := lockHolder(d.lock())
		if err == nil && ok && r.Ready && holds(d, r) && holder.pid == supervisor.Pid {
			return r.State, nil
		}
	}
}

// lineWriter hands on whole lines, but keeps the one with which kitmesh fails.
type lineWriter struct {
	line    func(string)
	rest    []byte
	failure string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte{'\n'})
		if !found {
			return len(p), nil
		}
		w.rest = rest
		if text, ok := strings.CutPrefix(string(line), "kitmesh: "); ok {
			w.failure = text
			continue
		}
		w.line(string(line))
	}
}
