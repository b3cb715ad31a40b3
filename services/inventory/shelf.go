package inventory

import (
	"maps"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// event is one entry of a SKU's ledger: what happened, and the shelf after it.
// At all times Initial + Restocked = Available + Reserved + Shipped.
type event struct {
	Kind     Status    `json:"kind"` // what happened to Key's hold
	Key      string    `json:"key"`
	Quantity int       `json:"quantity"`          // 0 for the release of nothing
	Restock  int       `json:"restock,omitempty"` // units this event added to the shelf
	Reason   string    `json:"reason,omitempty"`  // why a hold was released
	At       time.Time `json:"at"`
	Shelf    shelf     `json:"shelf"`
}

// fact is an event without the shelf after it.
type fact struct {
	Kind   Status    `json:"kind"`
	Key    string    `json:"key"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// shelf is the state of one SKU.
type shelf struct {
	SKU       string         `json:"sku"`
	Initial   int            `json:"initial"`
	Restocked int            `json:"restocked"` // added since
	Available int            `json:"available"`
	Reserved  int            `json:"reserved"` // the sum of Holds
	Shipped   int            `json:"shipped"`
	Holds     map[string]int `json:"holds,omitempty"` // open holds: units by key
}

func newShelf(sku string, units int) shelf {
	return shelf{SKU: sku, Initial: units, Available: units}
}

// restockable reports whether the shop buys more of the SKU: not of what was
// sold out from the start, nor of limited editions.
func (s shelf) restockable() bool {
	return s.Initial > 0 && !strings.HasPrefix(s.SKU, "limited-")
}

// reorderPoint is the level below which a restockable shelf is filled up again.
func (s shelf) reorderPoint() int { return max(1, s.Initial/4) }

// reserve holds quantity units for key. A restockable shelf is filled up to its
// initial level when it would run dry or falls below its reorder point:
//
//	initial 100, available 30, reserve 10 → available 20 < 25 → restock 80, available 100
func (s shelf) reserve(key string, quantity int) (event, error) {
	restock := 0
	if quantity > s.Available && s.restockable() && quantity <= s.Initial {
		restock = s.Initial - s.Available
		s.Available += restock
	}
	if quantity > s.Available {
		return event{}, fault.New(fault.Conflict, "sold out: %d of %s are left, %d were asked for", s.Available, s.SKU, quantity)
	}
	s.Holds = withHold(s.Holds, key, quantity)
	s.Available -= quantity
	s.Reserved += quantity
	if s.restockable() && s.Available < s.reorderPoint() {
		restock += s.Initial - s.Available
		s.Available = s.Initial
	}
	s.Restocked += restock
	return event{Kind: Reserved, Key: key, Quantity: quantity, Restock: restock, Shelf: s}, nil
}

// commit ships what key holds.
func (s shelf) commit(key string) event {
	quantity := s.Holds[key]
	s.Holds = withoutHold(s.Holds, key)
	s.Reserved -= quantity
	s.Shipped += quantity
	return event{Kind: Committed, Key: key, Quantity: quantity, Shelf: s}
}

// release puts back what key holds, possibly nothing.
func (s shelf) release(key, reason string) event {
	quantity := s.Holds[key]
	s.Holds = withoutHold(s.Holds, key)
	s.Reserved -= quantity
	s.Available += quantity
	return event{Kind: Released, Key: key, Quantity: quantity, Reason: reason, Shelf: s}
}

// The maps of a shelf are shared with readers and never changed.

func withHold(holds map[string]int, key string, quantity int) map[string]int {
	next := make(map[string]int, len(holds)+1)
	maps.Copy(next, holds)
	next[key] = quantity
	return next
}

func withoutHold(holds map[string]int, key string) map[string]int {
	next := maps.Clone(holds)
	delete(next, key)
	return next
}
