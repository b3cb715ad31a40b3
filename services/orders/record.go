package orders

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// record is the event and the state of one order: each event holds all of it.
type record struct {
	Order
	Key       string    `json:"key"`
	BodyHash  string    `json:"body_hash"` // tells the same request from another one under the same key
	Revision  int       `json:"revision"`  // 1 for the first event, gap-free
	UpdatedAt time.Time `json:"updated_at"`
	UndoFrom  Status    `json:"undo_from,omitempty"` // how far the saga had come when it turned round
	Failures  int       `json:"failures,omitempty"`  // unexpected ones of the present step, in a row

	seq uint64 // of this event
}

// Kinds of events, by which their readers choose: an order's first event, those
// on its way, and the end, which has the final status as its kind.
const (
	kindPlaced = "placed"
	kindOnWay  = "on-way"
)

func (r record) kind() string {
	switch {
	case r.Revision == 1:
		return kindPlaced
	case r.Status.Final():
		return string(r.Status)
	}
	return kindOnWay
}

// errRace marks a write that lost against another instance.
var errRace = errors.New("the order moved on meanwhile")

// load returns the order's newest state. It fails with fault.NotFound.
func (s *Saga) load(ctx context.Context, id string) (record, error) {
	event, seq, err := s.journal.Last(ctx, id)
	if fault.CodeOf(err) == fault.NotFound {
		return record{}, fault.Wrap(fault.NotFound, err, "there is no order %q", id)
	}
	if err != nil {
		return record{}, err
	}
	return decode(seq, event)
}

func decode(seq uint64, event []byte) (record, error) {
	var r record
	if err := json.Unmarshal(event, &r); err != nil {
		return record{}, fmt.Errorf("orders: event %d: %w", seq, err)
	}
	r.seq = seq
	return r, nil
}

// save writes r as the event after the one it came from. It fails with errRace
// when another instance wrote first.
func (s *Saga) save(ctx context.Context, r record) (record, error) {
	r.Revision++
	r.UpdatedAt = time.Now().UTC()
	event, err := json.Marshal(r)
	if err != nil {
		return record{}, fmt.Errorf("orders: %w", err)
	}
	r.seq, err = s.journal.Append(ctx, r.ID, r.kind(), event, r.seq)
	if fault.CodeOf(err) == fault.Conflict {
		return record{}, fmt.Errorf("%w: %w", errRace, err)
	}
	if err != nil {
		return record{}, err
	}
	return r, nil
}

// orderID names the order of a key, so that the key's first event can be
// created only once.
func orderID(key string) string {
	sum := sha256.Sum256([]byte("order\x00" + key))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15]))
}

// bodyHash is the same for the same lines in any order.
func bodyHash(lines []Line) string {
	sorted := slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return cmp.Compare(a.SKU, b.SKU) })
	h := sha256.New()
	for _, l := range sorted {
		fmt.Fprintf(h, "%q %d\n", l.SKU, l.Quantity)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// maxSKU bounds a SKU in bytes.
const maxSKU = 128

func (r PlaceRequest) validate() error {
	if r.Key == "" || len(r.Key) > MaxKeyLength {
		return fault.New(fault.Invalid, "an Idempotency-Key of 1 to %d characters is mandatory", MaxKeyLength)
	}
	if len(r.Lines) < 1 || len(r.Lines) > MaxLines {
		return fault.New(fault.Invalid, "an order has 1 to %d lines, this one has %d", MaxLines, len(r.Lines))
	}
	seen := make(map[string]bool, len(r.Lines))
	for i, l := range r.Lines {
		switch {
		case l.SKU == "" || len(l.SKU) > maxSKU:
			return fault.New(fault.Invalid, "line %d: the SKU has 1 to %d characters", i+1, maxSKU)
		case l.Quantity < 1 || l.Quantity > MaxQuantity:
			return fault.New(fault.Invalid, "line %d: the quantity is %d; use 1 to %d", i+1, l.Quantity, MaxQuantity)
		case seen[l.SKU]:
			return fault.New(fault.Invalid, "line %d: %s comes twice; add the quantities up", i+1, l.SKU)
		}
		seen[l.SKU] = true
	}
	return nil
}
