package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kitmesh/kitmesh/services/fault"
)

// authorising is the status between asking the provider and knowing its answer;
// it never leaves the service.
const authorising Status = "authorising"

// maxID bounds an order's id.
const maxID = 128

// payment is the event and the state of one order's payment.
type payment struct {
	Payment
	Reason string `json:"reason,omitempty"` // of a decline

	seq uint64 // of this event; 0: not written yet
}

func (p payment) exists() bool { return p.seq > 0 }

// errRace marks a write that lost against another writer; it is not the
// provider's conflict, which is an answer.
var errRace = errors.New("the payment moved on meanwhile")

func lostRace(err error) bool { return errors.Is(err, errRace) }

// load returns the order's payment; one that does not exist yet is no error.
func (c *Cashier) load(ctx context.Context, orderID string) (payment, error) {
	event, seq, err := c.journal.Last(ctx, orderID)
	if fault.CodeOf(err) == fault.NotFound {
		return payment{}, nil
	}
	if err != nil {
		return payment{}, err
	}
	var p payment
	if err := json.Unmarshal(event, &p); err != nil {
		return payment{}, fmt.Errorf("payments: event %d of order %s: %w", seq, orderID, err)
	}
	p.seq = seq
	return p, nil
}

// save writes p as the event after the one it was loaded from.
func (c *Cashier) save(ctx context.Context, p payment) (payment, error) {
	event, err := json.Marshal(p)
	if err != nil {
		return payment{}, fmt.Errorf("payments: %w", err)
	}
	p.seq, err = c.journal.Append(ctx, p.OrderID, "", event, p.seq)
	if fault.CodeOf(err) == fault.Conflict {
		return payment{}, fmt.Errorf("%w: %w", errRace, err)
	}
	if err != nil {
		return payment{}, err
	}
	return p, nil
}

func (r AuthoriseRequest) validate() error {
	if r.Amount.Amount <= 0 || len(r.Amount.Currency) != 3 {
		return fault.New(fault.Invalid, "an authorisation takes an amount above 0 and a currency of three letters")
	}
	return validateID(r.OrderID)
}

func validateID(id string) error {
	if id == "" || len(id) > maxID {
		return fault.New(fault.Invalid, "the order id has 1 to %d characters", maxID)
	}
	return nil
}
