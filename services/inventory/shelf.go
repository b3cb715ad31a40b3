package inventory

import (
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// level counts the units of one SKU. At all times
// Initial + Restocked = Available + Reserved + Shipped.
type level struct {
	Initial   int `json:"initial"`
	Restocked int `json:"restocked"` // added since
	Available int `json:"available"`
	Reserved  int `json:"reserved"` // the sum of the open holds
	Shipped   int `json:"shipped"`
}

// hold is an open one.
type hold struct {
	Quantity int       `json:"quantity"`
	Since    time.Time `json:"since"`
}

// shelf is the state of one SKU.
type shelf struct {
	level
	holds map[string]hold // by key
	begun bool            // it has events
}

func newShelf(units int) *shelf {
	return &shelf{level: level{Initial: units, Available: units}, holds: map[string]hold{}}
}

// restockable reports whether the shop buys more of the SKU: not of what was
// sold out from the start, nor of limited editions.
func (l level) restockable(sku string) bool {
	return l.Initial > 0 && !strings.HasPrefix(sku, "limited-")
}

// reorderPoint is the level below which a restockable shelf is filled up again.
func (l level) reorderPoint() int { return max(1, l.Initial/4) }

// reserve holds quantity units. A restockable shelf is filled up to its initial
// level when it would run dry or falls below its reorder point:
//
//	initial 100, available 30, reserve 10 → available 20 < 25 → restock 80, available 100
func (l level) reserve(sku string, quantity int) (after level, restock int, err error) {
	if quantity > l.Available && l.restockable(sku) && quantity <= l.Initial {
		restock = l.Initial - l.Available
		l.Available += restock
	}
	if quantity > l.Available {
		return level{}, 0, fault.New(fault.Conflict, "sold out: %d of %s are left, %d were asked for", l.Available, sku, quantity)
	}
	l.Available -= quantity
	l.Reserved += quantity
	if l.restockable(sku) && l.Available < l.reorderPoint() {
		restock += l.Initial - l.Available
		l.Available = l.Initial
	}
	l.Restocked += restock
	return l, restock, nil
}

// commit ships quantity units that were held.
func (l level) commit(quantity int) level {
	l.Reserved -= quantity
	l.Shipped += quantity
	return l
}

// release puts back quantity units that were held.
func (l level) release(quantity int) level {
	l.Reserved -= quantity
	l.Available += quantity
	return l
}
