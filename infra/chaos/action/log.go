package action

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// undo is what the log holds about one change: how things were before it.
type undo struct {
	Mesh   string          `json:"mesh,omitempty"`   // what tells it from a later one of its name
	Kind   string          `json:"kind"`             // see undoers
	Name   string          `json:"name"`             // the instance, part, service or line
	PID    int             `json:"pid,omitempty"`    // of the instance then: its successor has no faults
	Count  int             `json:"count,omitempty"`  // instances of a service
	Fields []string        `json:"fields,omitempty"` // of Faults, those that were changed
	Faults *runner.Faults  `json:"faults,omitempty"`
	Lines  []toxicOn       `json:"lines,omitempty"` // of the proxy
	Links  json.RawMessage `json:"links,omitempty"` // a container's networks
}

// entry is one line of the log: a change about to be made, or one undone.
type entry struct {
	Seq  int   `json:"seq"`
	Undo *undo `json:"undo,omitempty"`
	Done bool  `json:"done,omitempty"`
}

// undoLog is the write-ahead log: one JSON object per line, each on disk before
// what it speaks of happens.
type undoLog struct {
	mu   sync.Mutex
	file *os.File
	next int
	open map[int]undo // not undone yet
}

func logPath(dir string) string { return filepath.Join(dir, "undo.jsonl") }

// openLog reads what an earlier process left and appends from there. A last line
// that was cut off by the end of its writer is of a change that was never made.
func openLog(dir string) (*undoLog, error) {
	l := &undoLog{next: 1, open: map[int]undo{}}
	data, err := os.ReadFile(logPath(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the undo log: %w", err)
	}
	whole := 0
	for rest := data; ; {
		n, line, err := bufio.ScanLines(rest, false)
		if n == 0 || err != nil {
			break
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s is damaged after byte %d: look at it, then remove it: %w", logPath(dir), whole, err)
		}
		if e.Undo != nil {
			l.open[e.Seq] = *e.Undo
		}
		if e.Done {
			delete(l.open, e.Seq)
		}
		l.next = max(l.next, e.Seq+1)
		whole, rest = whole+n, rest[n:]
	}
	if l.file, err = os.OpenFile(logPath(dir), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("open the undo log: %w", err)
	}
	if err := errors.Join(l.file.Truncate(int64(whole)), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the undo log: %w", err), l.file.Close())
	}
	if _, err := l.file.Seek(int64(whole), 0); err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// syncDir makes the file's name durable, too.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// plan writes down how to undo a change that is about to be made.
func (l *undoLog) plan(u undo) (seq int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq = l.next
	if err := l.write(entry{Seq: seq, Undo: &u}); err != nil {
		return 0, err
	}
	l.next++
	l.open[seq] = u
	return seq, nil
}

// done writes down that a change was undone.
func (l *undoLog) done(seq int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[seq]; !ok {
		return nil
	}
	if err := l.write(entry{Seq: seq, Done: true}); err != nil {
		return err
	}
	delete(l.open, seq)
	return nil
}

func (l *undoLog) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(line, '\n'))
	if err := errors.Join(err, l.file.Sync()); err != nil {
		return fmt.Errorf("nothing is done without a way back: write the undo log: %w", err)
	}
	return nil
}

// pending lists what is not undone, the oldest first.
func (l *undoLog) pending() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var seqs []int
	for seq := range l.open {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

func (l *undoLog) get(seq int) (undo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, ok := l.open[seq]
	return u, ok
}

// close empties a log with nothing left to undo.
func (l *undoLog) close() error {
	var err error
	if len(l.pending()) == 0 {
		err = l.file.Truncate(0)
	}
	return errors.Join(err, l.file.Close())
}
