package shipping

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// patience is how long a confirmed order may be without a shipment before its
// event is given up: a replica that lags is a matter of seconds.
const patience = 10 * time.Minute

// confirmed is the kind, and the status, of the order events that matter here.
const confirmed = "confirmed"

// orderEvent is what shipping reads of an order's event; the rest is not its
// business.
type orderEvent struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ignored is the answer to events that ask nothing of us. The broker settles
// them without ado because of the method.
type ignored struct{}

func (ignored) Error() string            { return "shipping: nothing to do for this event" }
func (ignored) Untouched() time.Duration { return 0 }

// Run hands over the parcels of confirmed orders until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	return d.orders.Consume(ctx, "shipping", []string{confirmed}, d.onOrder)
}

// onOrder sees the event of every confirmed order at least once, so all it does
// is idempotent.
func (d *Desk) onOrder(ctx context.Context, key string, seq uint64, event []byte) error {
	var o orderEvent
	if err := json.Unmarshal(event, &o); err != nil {
		d.log.Error("an order's event cannot be read; it is skipped", "order", key, "seq", seq, "err", err)
		return ignored{}
	}
	if o.Status != confirmed {
		return ignored{}
	}
	_, err := d.settle(ctx, o.ID, later, func(s shipment) (shipment, error) {
		switch {
		case !s.exists():
			return s, fault.New(fault.NotFound, "order %s is confirmed and has no shipment", o.ID)
		case s.Status == Cancelled:
			return s, fault.New(fault.Conflict, "order %s is confirmed and its delivery was cancelled", o.ID)
		}
		s.Status = Shipped
		return s, nil
	})
	switch fault.CodeOf(err) {
	case fault.NotFound, fault.Conflict:
		if time.Since(o.UpdatedAt) < patience {
			return err
		}
		d.log.Error("a confirmed order cannot be shipped; a person must look", "order", o.ID, "err", err)
		return ignored{}
	}
	return err
}
