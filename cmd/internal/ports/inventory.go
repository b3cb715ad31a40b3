package ports

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/orders"
)

// Holders is inventory's port to the orders that holds are for: their journal,
// because it knows also while nobody answers for orders.
type Holders struct{ Orders *broker.Journal }

// Abandoned implements inventory.Orders. An order exists before its hold does,
// so a hold without one is nobody's. A cancelled order has put its goods back,
// or tried to. Any other may yet ship what it holds; a failed one, which may have
// been paid, waits for a person.
func (h Holders) Abandoned(ctx context.Context, key string) (bool, error) {
	event, seq, err := h.Orders.Last(ctx, key)
	if fault.CodeOf(err) == fault.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var o orders.Order
	if err := json.Unmarshal(event, &o); err != nil {
		return false, fmt.Errorf("event %d of the orders: %w", seq, err)
	}
	return o.Status == orders.Cancelled, nil
}
