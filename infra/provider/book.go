package provider

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// book is what the provider knows: the outcome of every key and the state of
// every authorisation. Its ledger makes it durable.
type book struct {
	ledger      *ledger
	declineRate float64

	mu      sync.Mutex
	entries []*record
	byKey   map[string]*record
	auths   map[string]*authorisation // by reference
}

// record is one key's effect. Its answer may be given once synced is closed.
type record struct {
	Entry
	synced chan struct{}
	err    error
}

// authorisation is money held, taken or given back. At most one of capture and
// void ever happens to it.
type authorisation struct {
	amount   int64
	currency string
	capture  *record
	void     *record
}

// order is one request to the book.
type order struct {
	op        Op
	key       string
	reference string // capture, void
	amount    int64  // authorise
	currency  string // authorise
}

func openBook(path string, declineRate float64) (*book, error) {
	l, entries, err := openLedger(path)
	if err != nil {
		return nil, err
	}
	b := &book{ledger: l, declineRate: declineRate, byKey: map[string]*record{}, auths: map[string]*authorisation{}}
	for _, e := range entries {
		if e.Op != OpAuthorise && b.auths[e.Reference] == nil {
			return nil, errors.Join(fmt.Errorf("provider: ledger %s: entry %d settles what was never authorised; restore the file or start with a new one", path, e.Seq), l.close())
		}
		r := &record{Entry: e, synced: make(chan struct{})}
		close(r.synced)
		b.apply(r)
	}
	return b, nil
}

// do gives o its effect, once per key, and returns the key's entry when that is
// on disk. ctx bounds the wait; the effect stands regardless.
func (b *book) do(ctx context.Context, o order) (Entry, error) {
	r, err := b.enter(o)
	if err != nil {
		return Entry{}, err
	}
	select {
	case <-r.synced:
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	}
	if r.err != nil {
		return Entry{}, fault.Wrap(fault.Internal, r.err, "the provider cannot write its ledger")
	}
	return r.Entry, nil
}

// enter finds or makes the record of o.
func (b *book) enter(o order) (*record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.byKey[o.key]; r != nil {
		return r, same(r.Entry, o)
	}
	e := Entry{Seq: len(b.entries) + 1, At: time.Now().UTC(), Op: o.op, Key: o.key,
		Reference: o.reference, Amount: o.amount, Currency: o.currency}
	if o.op == OpAuthorise {
		e.Reference = referenceOf(o.key)
		e.Declined = chance(o.key) < b.declineRate
	} else {
		a := b.auths[o.reference]
		if a == nil {
			return nil, fault.New(fault.NotFound, "no authorisation %q", o.reference)
		}
		e.Amount, e.Currency = a.amount, a.currency
		switch {
		case a.capture != nil && o.op == OpCapture:
			return a.capture, nil
		case a.void != nil && o.op == OpVoid:
			return a.void, nil
		case a.capture != nil:
			return nil, fault.New(fault.Conflict, "authorisation %q is captured", o.reference)
		case a.void != nil:
			return nil, fault.New(fault.Conflict, "authorisation %q is void", o.reference)
		}
	}
	r := &record{Entry: e, synced: make(chan struct{})}
	b.apply(r)
	// In the lock, so that the file has the order of the book.
	b.ledger.add(e, func(err error) { r.err = err; close(r.synced) })
	return r, nil
}

func (b *book) apply(r *record) {
	b.entries = append(b.entries, r)
	b.byKey[r.Key] = r
	switch {
	case r.Op == OpCapture:
		b.auths[r.Reference].capture = r
	case r.Op == OpVoid:
		b.auths[r.Reference].void = r
	case !r.Declined:
		b.auths[r.Reference] = &authorisation{amount: r.Amount, currency: r.Currency}
	}
}

// all returns the entries that are on disk, in order.
func (b *book) all() []Entry {
	b.mu.Lock()
	records := slices.Clip(b.entries)
	b.mu.Unlock()
	entries := make([]Entry, 0, len(records))
	for _, r := range records {
		<-r.synced // soon: a sync takes milliseconds
		if r.err == nil {
			entries = append(entries, r.Entry)
		}
	}
	return entries
}

func (b *book) close() error { return b.ledger.close() }

// same fails when the key of e comes with another request.
func same(e Entry, o order) error {
	match := e.Op == o.op
	if o.op == OpAuthorise {
		match = match && e.Amount == o.amount && e.Currency == o.currency
	} else {
		match = match && e.Reference == o.reference
	}
	if !match {
		return fault.New(fault.KeyReused, "key %q belongs to another request", o.key)
	}
	return nil
}

// referenceOf names the authorisation of a key.
func referenceOf(key string) string {
	sum := sha256.Sum256([]byte("reference\x00" + key))
	return "auth_" + hex.EncodeToString(sum[:10])
}

// chance is a number in [0, 1) that is always the same for one key, so that a
// decline is a property of the order and not of the try.
func chance(key string) float64 {
	sum := sha256.Sum256([]byte("decline\x00" + key))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}
