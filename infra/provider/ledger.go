package provider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Op is what a request asked of the provider.
type Op string

// The operations.
const (
	OpAuthorise Op = "authorise"
	OpCapture   Op = "capture"
	OpVoid      Op = "void"
)

// Entry is one line of the ledger: the effect of one idempotency key.
type Entry struct {
	Seq       int       `json:"seq"` // gap-free from 1
	At        time.Time `json:"at"`
	Op        Op        `json:"op"`
	Key       string    `json:"key"`       // the caller's idempotency key
	Reference string    `json:"reference"` // of the authorisation
	Amount    int64     `json:"amount"`    // minor units
	Currency  string    `json:"currency"`
	Declined  bool      `json:"declined,omitempty"` // authorise only
}

// maxBatch bounds the entries of one sync.
const maxBatch = 256

// ledger is an append-only file of entries. An entry counts once it is synced;
// entries that arrive during a sync share the next one.
type ledger struct {
	file  *os.File
	queue chan pending
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	broken error // set once a write failed: nothing can be promised any more
}

type pending struct {
	entry  Entry
	synced func(error)
}

// openLedger opens the file at path, creating it when missing, and returns it
// with its entries. A torn last line, left by a kill, is cut off: it was never
// acknowledged. Anything else unreadable is an error.
func openLedger(path string) (*ledger, []Entry, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, fmt.Errorf("provider: cannot create the ledger: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("provider: cannot open the ledger: %w", err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("provider: another provider uses the ledger %s; stop it or choose another with --ledger: %w", path, err)
	}
	entries, size, err := readLedger(f)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("provider: ledger %s: %w", path, err)
	}
	l := &ledger{file: f, queue: make(chan pending, maxBatch), stop: make(chan struct{}), done: make(chan struct{})}
	go l.write()
	return l, entries, nil
}

// readLedger returns the entries of f and the size of what is whole.
func readLedger(f io.Reader) (entries []Entry, size int64, err error) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, size, nil // what follows the last newline is torn
		}
		if err != nil {
			return nil, 0, err
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Seq != len(entries)+1 {
			return nil, 0, fmt.Errorf("line %d is damaged; restore the file or start with a new one", len(entries)+1)
		}
		entries = append(entries, e)
		size += int64(len(line))
	}
}

// add queues e and calls synced once it is on disk, or cannot be. Entries are
// written in the order of add.
func (l *ledger) add(e Entry, synced func(error)) {
	select {
	case l.queue <- pending{e, synced}:
	case <-l.stop:
		synced(errors.New("provider: the ledger is closed"))
	}
}

// write is the only writer: it takes what has queued up, writes it at once and
// syncs once for all.
func (l *ledger) write() {
	defer close(l.done)
	for {
		select {
		case p := <-l.queue:
			l.commit(p)
		case <-l.stop:
			for len(l.queue) > 0 {
				l.commit(<-l.queue)
			}
			return
		}
	}
}

func (l *ledger) commit(first pending) {
	batch := []pending{first}
	for len(batch) < maxBatch && len(l.queue) > 0 {
		batch = append(batch, <-l.queue)
	}
	err := l.failure()
	if err == nil {
		err = l.persist(batch)
	}
	for _, p := range batch {
		p.synced(err)
	}
}

func (l *ledger) persist(batch []pending) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, p := range batch {
		if err := enc.Encode(p.entry); err != nil {
			return l.fail(err)
		}
	}
	if _, err := l.file.Write(buf.Bytes()); err != nil {
		return l.fail(err)
	}
	if err := l.file.Sync(); err != nil {
		return l.fail(err)
	}
	return nil
}

// fail remembers that the file can no longer be trusted: what the kernel
// dropped after a failed sync would not come back with the next one.
func (l *ledger) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = fmt.Errorf("provider: the ledger cannot be written: %w", err)
	return l.broken
}

func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// close writes what is queued and closes the file. Call it once, when nobody
// adds any more.
func (l *ledger) close() error {
	close(l.stop)
	<-l.done
	return l.file.Close()
}

// syncDir makes the file's name durable, too.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
