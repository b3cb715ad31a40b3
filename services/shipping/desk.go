package shipping

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// maxRaces bounds how often one call starts over because another writer of the
// same shipment was faster.
const maxRaces = 16

// maxID bounds an order's id.
const maxID = 128

// Desk is the Service. Its Run hands the parcels of confirmed orders over.
type Desk struct {
	journal Journal
	orders  Orders
	pricing Pricing
	log     *slog.Logger
}

var _ Service = (*Desk)(nil)

// New returns a Service on a journal of its own, the events of orders and
// pricing. A nil logger is silent.
func New(journal Journal, orders Orders, pricing Pricing, logger *slog.Logger) *Desk {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Desk{journal: journal, orders: orders, pricing: pricing, log: logger}
}

// Quote implements Service.
func (d *Desk) Quote(ctx context.Context, req QuoteRequest) (Quote, error) {
	if err := validate(req.Lines); err != nil {
		return Quote{}, err
	}
	value, err := d.pricing.Value(ctx, req.Lines)
	if err != nil {
		return Quote{}, err
	}
	return estimate(req.Lines, value)
}

// Dispatch implements Service.
func (d *Desk) Dispatch(ctx context.Context, req DispatchRequest) (Shipment, error) {
	if err := validateID(req.OrderID); err != nil {
		return Shipment{}, err
	}
	if err := validate(req.Lines); err != nil {
		return Shipment{}, err
	}
	return d.settle(ctx, req.OrderID, first, func(s shipment) (shipment, error) {
		switch {
		case !s.exists():
			s.Shipment = newShipment(req.OrderID, Booked, req.Lines)
		case s.Status == Cancelled:
			return s, fault.New(fault.Conflict, "the delivery of order %s was cancelled", req.OrderID)
		}
		return s, nil
	})
}

// Cancel implements Service.
func (d *Desk) Cancel(ctx context.Context, req CancelRequest) (Shipment, error) {
	if err := validateID(req.OrderID); err != nil {
		return Shipment{}, err
	}
	return d.settle(ctx, req.OrderID, later, func(s shipment) (shipment, error) {
		switch {
		case !s.exists():
			// The tombstone: a Dispatch that was on its way finds it.
			s.Shipment = newShipment(req.OrderID, Cancelled, nil)
		case s.Status == Shipped:
			return s, fault.New(fault.Conflict, "the parcel of order %s has left", req.OrderID)
		default:
			s.Status = Cancelled
		}
		return s, nil
	})
}

// expectation is what a call expects to find of an order.
type expectation bool

// A call that is usually the order's first does not look before it writes: if
// it is not the first it loses the race for the first event and looks then.
const (
	first expectation = true
	later expectation = false
)

// settle loads the order's shipment, lets f change it and writes what changed,
// starting over when another writer was faster. When the call expects to be the
// first, f starts from an empty shipment and has to change it.
func (d *Desk) settle(ctx context.Context, orderID string, expect expectation, f func(shipment) (shipment, error)) (Shipment, error) {
	for try := range maxRaces {
		var old shipment
		if try > 0 || expect != first {
			var err error
			if old, err = d.load(ctx, orderID); err != nil {
				return Shipment{}, err
			}
		}
		s, err := f(old)
		if err != nil {
			return Shipment{}, err
		}
		if old.exists() && s.Status == old.Status {
			return s.Shipment, nil
		}
		err = d.save(ctx, s)
		if fault.CodeOf(err) != fault.Conflict {
			return s.Shipment, err
		}
	}
	return Shipment{}, fault.New(fault.Unavailable, "too many writers of the delivery of order %s", orderID)
}

func newShipment(orderID string, status Status, lines []Line) Shipment {
	sum := sha256.Sum256([]byte("shipment\x00" + orderID))
	return Shipment{
		ID:       "sh_" + hex.EncodeToString(sum[:8]), // from the order, so that a repeated Dispatch has the same
		OrderID:  orderID,
		Status:   status,
		Lines:    lines,
		BookedAt: time.Now().UTC(),
	}
}

func validateID(id string) error {
	if id == "" || len(id) > maxID {
		return fault.New(fault.Invalid, "the order id has 1 to %d characters", maxID)
	}
	return nil
}
