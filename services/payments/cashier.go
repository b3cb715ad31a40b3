package payments

import (
	"context"

	"github.com/kitmesh/kitmesh/services/fault"
)

// maxRaces bounds how often one call starts over because another writer of the
// same order was faster; each race means that the payment moved on.
const maxRaces = 16

// Cashier is the Service: it writes down what it is about to ask the provider
// before it asks, so that any instance can finish what another began.
type Cashier struct {
	journal  Journal
	provider Provider
}

var _ Service = (*Cashier)(nil)

// New returns a Service on a journal and a provider.
func New(journal Journal, provider Provider) *Cashier {
	return &Cashier{journal: journal, provider: provider}
}

// Authorise implements Service.
func (c *Cashier) Authorise(ctx context.Context, req AuthoriseRequest) (Payment, error) {
	if err := req.validate(); err != nil {
		return Payment{}, err
	}
	return c.settle(ctx, req.OrderID, first, func(ctx context.Context, p payment) (Payment, error) {
		if !p.exists() {
			// Written ahead: if this instance dies now, the next one asks the
			// provider again under the same key.
			p = payment{Payment: Payment{OrderID: req.OrderID, Status: authorising, Amount: req.Amount}}
			var err error
			if p, err = c.save(ctx, p); err != nil {
				return Payment{}, err
			}
		}
		switch {
		case p.Status == Voided:
			return Payment{}, fault.New(fault.Conflict, "the payment of order %s was voided", req.OrderID)
		case p.Amount != req.Amount:
			return Payment{}, fault.New(fault.KeyReused, "order %s was authorised for %d %s", req.OrderID, p.Amount.Amount, p.Amount.Currency)
		}
		p, err := c.resolve(ctx, p)
		if err == nil && p.Status == Declined {
			return Payment{}, fault.New(fault.Declined, "%s", p.Reason)
		}
		return p.Payment, err
	})
}

// Capture implements Service.
func (c *Cashier) Capture(ctx context.Context, req SettleRequest) (Payment, error) {
	if err := validateID(req.OrderID); err != nil {
		return Payment{}, err
	}
	return c.settle(ctx, req.OrderID, later, func(ctx context.Context, p payment) (Payment, error) {
		switch p.Status {
		case Captured:
			return p.Payment, nil
		case Voided:
			return Payment{}, fault.New(fault.Conflict, "the payment of order %s was voided", req.OrderID)
		case Authorised:
			if err := c.provider.Capture(ctx, req.OrderID+"/capture", p.Reference); err != nil {
				return Payment{}, err
			}
			p.Status = Captured
			p, err := c.save(ctx, p)
			return p.Payment, err
		}
		return Payment{}, fault.New(fault.NotFound, "nothing is authorised for order %s", req.OrderID)
	})
}

// Void implements Service.
func (c *Cashier) Void(ctx context.Context, req SettleRequest) (Payment, error) {
	if err := validateID(req.OrderID); err != nil {
		return Payment{}, err
	}
	return c.settle(ctx, req.OrderID, later, func(ctx context.Context, p payment) (Payment, error) {
		if !p.exists() {
			// The tombstone: an Authorise that was on its way finds it.
			p.OrderID = req.OrderID
			return c.void(ctx, p)
		}
		// An authorisation that somebody began may or may not have happened.
		p, err := c.resolve(ctx, p)
		if err != nil {
			return Payment{}, err
		}
		switch p.Status {
		case Captured:
			return Payment{}, fault.New(fault.Conflict, "the payment of order %s was captured", req.OrderID)
		case Authorised:
			if err := c.provider.Void(ctx, req.OrderID+"/void", p.Reference); err != nil {
				return Payment{}, err
			}
			return c.void(ctx, p)
		}
		return p.Payment, nil // voided before, or declined: nothing is held
	})
}

func (c *Cashier) void(ctx context.Context, p payment) (Payment, error) {
	p.Status = Voided
	p, err := c.save(ctx, p)
	return p.Payment, err
}

// resolve finishes an authorisation that was begun, by this call or by one that
// died: the provider answers the same key the same way.
func (c *Cashier) resolve(ctx context.Context, p payment) (payment, error) {
	if p.Status != authorising {
		return p, nil
	}
	reference, err := c.provider.Authorise(ctx, p.OrderID+"/authorise", p.Amount.Amount, p.Amount.Currency)
	switch fault.CodeOf(err) {
	case "":
		p.Status, p.Reference = Authorised, reference
	case fault.Declined:
		p.Status, p.Reason = Declined, fault.MessageOf(err)
	default:
		return payment{}, err
	}
	return c.save(ctx, p)
}

// expectation is what a call expects to find of an order.
type expectation bool

// A call that is usually the order's first does not look before it writes: if
// it is not the first it loses the race for the first event and looks then.
const (
	first expectation = true
	later expectation = false
)

// settle calls f with the order's payment and again with the newer one whenever
// another writer was faster. When the call expects to be the first, f is called
// with an empty payment at first and has to write before it believes that.
func (c *Cashier) settle(ctx context.Context, orderID string, expect expectation, f func(context.Context, payment) (Payment, error)) (Payment, error) {
	for try := range maxRaces {
		var p payment
		if try > 0 || expect != first {
			var err error
			if p, err = c.load(ctx, orderID); err != nil {
				return Payment{}, err
			}
		}
		answer, err := f(ctx, p)
		if !lostRace(err) {
			return answer, err
		}
	}
	return Payment{}, fault.New(fault.Unavailable, "too many writers of the payment of order %s", orderID)
}
