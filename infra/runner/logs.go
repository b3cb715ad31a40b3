package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxLogBytes bounds one log file; with the older half beside it a process
// keeps at most twice that on disk, plus what it writes within a second.
const maxLogBytes = 8 << 20

// boundLogs keeps every *.log in dir below limit until ctx ends: a file that
// outgrew it is copied to <file>.1 and emptied. The writer has it open for
// appending and goes on at the new end; lines written between copy and cut are
// lost.
func boundLogs(ctx context.Context, dir string, limit int64, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && info.Size() > limit {
				_ = rotate(file, limit)
			}
		}
	}
}

// rotate moves the last limit bytes of file to file.1 and empties file.
func rotate(file string, limit int64) error {
	in, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := in.Seek(max(0, size-limit), io.SeekStart); err != nil {
		return err
	}
	out, err := os.OpenFile(file+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, limit))
	return errors.Join(err, out.Close(), in.Truncate(0))
}

// copyLog copies a log to w and, when follow is set, what is added to it until
// ctx ends. A file cut by boundLogs is read from its new beginning.
func copyLog(ctx context.Context, file string, follow bool, w io.Writer) error {
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no log of %s", strings.TrimSuffix(filepath.Base(file), ".log"))
	}
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer in.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, in); err != nil {
			return fmt.Errorf("copy the log: %w", err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		at, err := in.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if info, err := in.Stat(); err == nil && info.Size() < at {
			if _, err := in.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
	}
}

// lastLine returns the last line of a log, for messages; "" if there is none.
func lastLine(file string) string {
	in, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer in.Close()
	const tail = 2048
	if size, err := in.Seek(0, io.SeekEnd); err == nil {
		_, _ = in.Seek(max(0, size-tail), io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(in, tail))
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
