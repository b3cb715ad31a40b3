package runner

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLogIsBoundedAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "catalog-1.log")
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		boundLogs(ctx, dir, 1000, 10*time.Millisecond)
	}()
	mustWrite(t, log, strings.Repeat("old line\n", 500)+"newest\n")
	eventually(t, "the file is cut", func() bool { info, err := os.Stat(file); return err == nil && info.Size() == 0 })
	cancel()
	<-done
	kept, err := os.ReadFile(file + ".1")
	if err != nil || len(kept) != 1000 || !bytes.HasSuffix(kept, []byte("newest\n")) {
		t.Errorf("kept %d bytes, %v", len(kept), err)
	}
	mustWrite(t, log, "after\n")
	if got, _ := os.ReadFile(file); string(got) != "after\n" {
		t.Errorf("the writer goes on with %q", got)
	}
}

func TestFollowedLogSurvivesTheCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.log")
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	mustWrite(t, log, "first line of all\n")
	var seen lockedBuffer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- copyLog(ctx, file, true, &seen) }()
	eventually(t, "first", func() bool { return strings.Contains(seen.String(), "first line of all") })
	if err := rotate(file, 1000); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, log, "second\n")
	eventually(t, "second", func() bool { return strings.HasSuffix(seen.String(), "\nsecond\n") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := copyLog(t.Context(), file+".none", false, io.Discard); err == nil {
		t.Error("no error for a log that is not there")
	}
	if got := lastLine(file); got != "second" {
		t.Errorf("last line %q", got)
	}
}

func mustWrite(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is a buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
