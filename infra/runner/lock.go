package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked")

// fileLock is held by the supervisor of a mesh (or by down, while it cleans up)
// and vanishes with its holder, however that ends.
type fileLock struct{ f *os.File }

// takeLock takes the mesh's lock and writes the holder into it; errLocked if
// somebody has it.
func takeLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the mesh's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	id, _, err := identify(os.Getpid())
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), id), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write the mesh's lock: %w", err)
	}
	return &fileLock{f}, nil
}

// release gives the lock back. The file stays: removing it would let two
// processes hold "the" lock, one of them on the removed file.
func (l *fileLock) release() {
	_ = l.f.Truncate(0)
	_ = l.f.Close()
}

// lockHolder reads who took the lock last; that process may have ended since.
func lockHolder(path string) (process, bool) {
	f, err := os.Open(path)
	if err != nil {
		return process{}, false
	}
	defer f.Close()
	line, _ := io.ReadAll(io.LimitReader(f, 200))
	var pid int
	text := strings.TrimSpace(string(line))
	pidText, id, _ := strings.Cut(text, " ")
	if _, err := fmt.Sscan(pidText, &pid); err != nil || pid <= 0 {
		return process{}, false
	}
	return process{name: supervisorName, pid: pid, identity: id}, true
}

// waitLock takes a lock as soon as its holder lets go, within the given time.
func waitLock(ctx context.Context, path string, within time.Duration) (*fileLock, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := takeLock(path)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// ErrLocked says that another process holds a lock.
var ErrLocked = errLocked

// Lock is a lock on a file that vanishes with its holder, however that ends.
type Lock struct{ held *fileLock }

// TakeLock takes the lock and writes this process into it; ErrLocked if another
// process has it.
func TakeLock(path string) (*Lock, error) {
	held, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	return &Lock{held}, nil
}

// Release gives the lock back.
func (l *Lock) Release() { l.held.release() }

// LockHolder returns who took a lock last, and when; 0 when nobody has it.
func LockHolder(path string) (pid int, since time.Time) {
	p, ok := lockHolder(path)
	info, err := os.Stat(path)
	if !ok || err != nil {
		return 0, time.Time{}
	}
	return p.pid, info.ModTime()
}
