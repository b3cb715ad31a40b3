package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Ledger is the Service: a copy of the stock journal in memory, which Run keeps
// up to date, and writes that only succeed on top of its newest event.
type Ledger struct {
	journal Journal
	log     *slog.Logger
	ready   atomic.Bool

	mu       sync.RWMutex
	accounts map[string]*account
}

var _ Service = (*Ledger)(nil)

// New returns a Service on a journal, with the units that lie on the shelves of
// SKUs without events. It answers once Run has read the journal. A nil logger
// is silent.
func New(journal Journal, initial map[string]int, logger *slog.Logger) *Ledger {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{journal: journal, log: logger, accounts: make(map[string]*account, len(initial))}
	for sku, units := range initial {
		l.accounts[sku] = newAccount(newShelf(sku, units))
	}
	return l
}

// Run keeps the copy up to date until ctx ends. It begins with the last event of
// every SKU, which holds the whole shelf, and then reads on from the oldest
// settled key that must be remembered.
func (l *Ledger) Run(ctx context.Context) error {
	var tail uint64
	at, err := l.journal.Latest(ctx, func(sku string, seq uint64, data []byte) {
		var e event
		if l.decode(sku, seq, data, &e) {
			l.open(sku).begin(seq, e)
		}
		tail = max(tail, seq)
	})
	if err != nil && ctx.Err() == nil {
		return err
	}
	l.ready.Store(err == nil && tail == 0)
	since := time.Now().Add(-settledFor)
	if at.Before(since) {
		since = at // also where our clock is ahead of the journal's
	}
	return l.journal.Follow(ctx, since, func(sku string, seq uint64, data []byte) {
		l.take(l.open(sku), sku, seq, data)
		if seq >= tail {
			l.ready.Store(true)
		}
	})
}

// take brings an account to the state after an event. Most events of a replay
// are before that state, and those written here are known: neither needs the
// shelf, which is the most of them.
func (l *Ledger) take(a *account, sku string, seq uint64, data []byte) {
	shelved, remembered := a.progress()
	switch {
	case seq <= remembered:
	case seq <= shelved:
		var f fact
		if l.decode(sku, seq, data, &f) {
			a.remember(seq, f)
		}
	default:
		var e event
		if l.decode(sku, seq, data, &e) {
			a.apply(seq, e)
		}
	}
}

func (l *Ledger) decode(sku string, seq uint64, data []byte, into any) (ok bool) {
	if err := json.Unmarshal(data, into); err != nil {
		l.log.Error("a stock event cannot be read; it is skipped", "sku", sku, "seq", seq, "err", err)
		return false
	}
	return true
}

// Ready says in a sentence whether the copy is complete, and fails until it is.
func (l *Ledger) Ready(context.Context) (string, error) {
	if !l.ready.Load() {
		return "", fault.New(fault.Unavailable, "the stock ledger is still being read")
	}
	return "the stock ledger is up to date", nil
}

// account returns the copy of a SKU that exists.
func (l *Ledger) account(sku string) (*account, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if a := l.accounts[sku]; a != nil {
		return a, nil
	}
	return nil, fault.New(fault.NotFound, "there is no SKU %q", sku)
}

// open returns the copy of any SKU; one that is no longer on the list keeps its
// ledger.
func (l *Ledger) open(sku string) *account {
	if a, err := l.account(sku); err == nil {
		return a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accounts[sku] == nil {
		l.accounts[sku] = newAccount(newShelf(sku, 0))
	}
	return l.accounts[sku]
}

// maxWrite bounds one write with all its waits.
const maxWrite = 10 * time.Second

// decide looks at what is known of a key and says which event follows; nil when
// nothing has to happen.
type decide func(view) (*event, error)

// write appends the event that d decides on. When another instance was faster
// it decides again on the newer state. An error without a verdict
// (fault.Unavailable and the like) leaves the outcome open; repeating the call
// finds out.
func (l *Ledger) write(ctx context.Context, sku, key string, d decide) error {
	a, err := l.account(sku)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxWrite) // for callers without a deadline
	defer cancel()
	if err := a.acquire(ctx); err != nil {
		return err
	}
	defer a.release()
	for {
		v := a.view(key)
		e, verdict := d(v)
		if verdict == nil && e == nil {
			return nil
		}
		var seen uint64 // what the journal is known to have reached
		if verdict != nil {
			// A refusal, unlike an event, would not be stopped by the journal
			// when this copy is behind.
			if seen, err = l.last(ctx, sku); err != nil {
				return err
			}
			if seen <= v.seq {
				return verdict
			}
		} else {
			if err = l.append(ctx, a, *e, v.seq); fault.CodeOf(err) != fault.Conflict {
				return err
			}
			seen = v.seq + 1
		}
		if err := a.await(ctx, seen); err != nil {
			return err
		}
		pause(ctx, rand.N(2*time.Millisecond))
	}
}

// append writes e after the event after, and into the copy.
func (l *Ledger) append(ctx context.Context, a *account, e event, after uint64) error {
	e.At = time.Now().UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	seq, err := l.journal.Append(ctx, e.Shelf.SKU, "", data, after)
	if err == nil {
		a.apply(seq, e)
	}
	return err
}

// last returns the sequence of the SKU's newest event, 0 when it has none.
func (l *Ledger) last(ctx context.Context, sku string) (uint64, error) {
	_, seq, err := l.journal.Last(ctx, sku)
	if fault.CodeOf(err) == fault.NotFound {
		return 0, nil
	}
	return seq, err
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
