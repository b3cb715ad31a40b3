package shipping

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kitmesh/kitmesh/services/fault"
)

// shipment is the event and the state of one order's delivery.
type shipment struct {
	Shipment

	seq uint64 // of this event; 0: not written yet
}

func (s shipment) exists() bool { return s.seq > 0 }

// load returns the order's shipment; one that does not exist yet is no error.
func (d *Desk) load(ctx context.Context, orderID string) (shipment, error) {
	event, seq, err := d.journal.Last(ctx, orderID)
	if fault.CodeOf(err) == fault.NotFound {
		return shipment{}, nil
	}
	if err != nil {
		return shipment{}, err
	}
	s := shipment{seq: seq}
	if err := json.Unmarshal(event, &s); err != nil {
		return shipment{}, fmt.Errorf("shipping: event %d of order %s: %w", seq, orderID, err)
	}
	return s, nil
}

// save writes s as the event after the one it was loaded from.
func (d *Desk) save(ctx context.Context, s shipment) error {
	event, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("shipping: %w", err)
	}
	_, err = d.journal.Append(ctx, s.OrderID, "", event, s.seq)
	return err
}
