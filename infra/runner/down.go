package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Down ends a mesh and returns whether there was one. It asks the supervisor
// first; if that is gone (kill -9), or does not manage, it ends what is left by
// itself. Data and logs stay unless purge is set.
func Down(ctx context.Context, name string, purge bool) (was bool, err error) {
	d, err := meshDirs(name)
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(d.root); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	was = askSupervisor(ctx, d)
	lock, err := waitLock(ctx, d.lock(), 10*time.Second)
	if err != nil {
		return was, fmt.Errorf("another kitmesh works on mesh %s: %w", name, err)
	}
	defer lock.release()
	if sweep(d) > 0 {
		was = true
	}
	if purge { // everything but the lock, which others may be waiting for
		err = errors.Join(os.RemoveAll(d.data("")), os.RemoveAll(d.logs()))
	}
	return was, err
}

// askSupervisor ends the supervisor, which ends everything else; it returns
// whether there was one.
func askSupervisor(ctx context.Context, d dirs) bool {
	holder, ok := lockHolder(d.lock())
	if !ok || !holder.alive() || holder.pid == os.Getpid() {
		return false
	}
	// A paused supervisor would never hear it.
	_ = holder.signal(syscall.SIGTERM)
	_ = holder.signal(syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(ctx, 2*drain+10*time.Second)
	defer cancel()
	if !holder.gone(ctx) {
		_ = holder.signal(syscall.SIGKILL)
		last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancelLast()
		holder.gone(last)
	}
	return true
}

// sweep ends every process an earlier supervisor of this mesh left behind and
// returns how many there were. The mesh's lock must be held. The order is that
// of Stop; processes known only by their mark go last.
func sweep(d dirs) int {
	ended := 0
	if r, err := loadRecord(d); err == nil {
		for _, tier := range r.processes() {
			tier = living(tier)
			ended += len(tier)
			endAll(tier, drain)
		}
	}
	// A stray can have started another one meanwhile.
	for range 5 {
		strays := marked(d.mark())
		if len(strays) == 0 {
			break
		}
		ended += len(strays)
		endAll(strays, 2*time.Second)
	}
	_ = clearState(d)
	return ended
}

func living(procs []process) []process {
	var alive []process
	for _, p := range procs {
		if p.alive() {
			alive = append(alive, p)
		}
	}
	return alive
}

// clearState removes state.json: nothing of the mesh runs any more.
func clearState(d dirs) error {
	err := os.Remove(d.state())
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove the mesh's state: %w", err)
}
