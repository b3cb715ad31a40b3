package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLockHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); !errors.Is(err, errLocked) {
		t.Fatalf("second holder: %v", err)
	}
	if holder, ok := lockHolder(path); !ok || holder.pid != os.Getpid() || !holder.alive() {
		t.Errorf("holder %+v", holder)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := waitLock(ctx, path, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a held lock: %v", err)
	}
	lock.release()
	if _, ok := lockHolder(path); ok {
		t.Error("a released lock names a holder")
	}
	again, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}

func TestLockDiesWithItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := startRole(t, "lock", nil, path)
	eventually(t, "the other process has the lock", func() bool {
		holder, ok := lockHolder(path)
		return ok && holder.pid == cmd.Process.Pid
	})
	if _, err := takeLock(path); !errors.Is(err, errLocked) {
		t.Fatalf("two holders: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	lock, err := waitLock(t.Context(), path, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	lock.release()
}
