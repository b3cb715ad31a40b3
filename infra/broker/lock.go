package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// dirLock keeps a second server out of a store. The kernel releases it with the
// process, so a kill -9 leaves nothing to clean up.
type dirLock struct {
	mu   sync.Mutex
	file *os.File
}

func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("broker: cannot create the store: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "kitmesh.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("broker: cannot lock the store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("broker: another broker uses the store %s; stop it or choose another with --dir: %w", dir, err)
	}
	return &dirLock{file: f}, nil
}

func (l *dirLock) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
