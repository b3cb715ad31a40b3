package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Memory of settled holds: a repeated Commit or Release of a key is recognised
// for an hour, or until so many later holds of the same SKU were settled.
const (
	settledFor = time.Hour
	settledMax = 100_000
)

// account is this instance's copy of one SKU's ledger. All of its past an
// answer needs is in here, so a write that follows seq is a correct one.
type account struct {
	turn chan struct{} // held by the instance's writer of this SKU

	mu      sync.Mutex
	seq     uint64 // of the last event; 0: none yet
	shelf   shelf
	memory  uint64 // settled is complete up to this event
	settled map[string]outcome
	queue   []settlement // settled keys, oldest first
	changed chan struct{}
}

// outcome is what became of a settled hold.
type outcome struct {
	status Status
	reason string
}

type settlement struct {
	key string
	at  time.Time
}

func newAccount(s shelf) *account {
	return &account{turn: make(chan struct{}, 1), shelf: s, settled: map[string]outcome{}, changed: make(chan struct{})}
}

// view is what a decision about one key is based on.
type view struct {
	seq     uint64
	shelf   shelf
	held    int     // units the key holds; 0: none
	outcome outcome // of the key's settled hold; zero: none that is remembered
}

func (a *account) view(key string) view {
	a.mu.Lock()
	defer a.mu.Unlock()
	return view{seq: a.seq, shelf: a.shelf, held: a.shelf.Holds[key], outcome: a.settled[key]}
}

// begin brings the account to the state after e without what was settled before.
func (a *account) begin(seq uint64, e event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(seq, e)
}

// advance needs the lock.
func (a *account) advance(seq uint64, e event) {
	if seq <= a.seq {
		return
	}
	a.seq, a.shelf = seq, e.Shelf
	close(a.changed)
	a.changed = make(chan struct{})
}

// progress returns the last events that the shelf and the memory know.
func (a *account) progress() (shelved, remembered uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seq, a.memory
}

// remember keeps what an event settled; one that it knows is ignored.
func (a *account) remember(seq uint64, f fact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(seq, f)
}

// note needs the lock.
func (a *account) note(seq uint64, f fact) {
	if seq <= a.memory {
		return
	}
	a.memory = seq
	if f.Kind == Reserved {
		return
	}
	a.settled[f.Key] = outcome{status: f.Kind, reason: f.Reason}
	a.queue = append(a.queue, settlement{f.Key, f.At})
	for len(a.queue) > settledMax || f.At.Sub(a.queue[0].at) > settledFor {
		delete(a.settled, a.queue[0].key)
		a.queue = a.queue[1:]
	}
}

// apply brings the account to the state after e, and remembers what e settled;
// an event it knows is ignored.
func (a *account) apply(seq uint64, e event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(seq, fact{Kind: e.Kind, Key: e.Key, Reason: e.Reason, At: e.At})
	a.advance(seq, e)
}

// acquire makes the caller the instance's only writer of the SKU: writers of
// one process would only make each other lose their compare-and-set.
func (a *account) acquire(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.CodeOf(ctx.Err()), ctx.Err(), "too many orders wait for %s", a.sku())
	}
}

func (a *account) release() { <-a.turn }

// await returns when the account has reached seq.
func (a *account) await(ctx context.Context, seq uint64) error {
	for {
		a.mu.Lock()
		now, changed := a.seq, a.changed
		a.mu.Unlock()
		if now >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "the ledger of %s is busy", a.sku())
		}
	}
}

func (a *account) sku() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shelf.SKU
}
