package main

import (
	"context"

	inventoryapi "github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	paymentsapi "github.com/kitmesh/kitmesh/services/payments"
	pricingapi "github.com/kitmesh/kitmesh/services/pricing"
	shippingapi "github.com/kitmesh/kitmesh/services/shipping"
)

// The ports of a saga, each kept by the client of one service.
type (
	inventory struct{ inventoryapi.Service }
	payments  struct{ paymentsapi.Service }
	shipping  struct{ shippingapi.Service }
	pricing   struct{ pricingapi.Service }
)

// Reserve implements orders.Inventory.
func (i inventory) Reserve(ctx context.Context, id string, lines []orders.Line) error {
	_, err := i.Service.Reserve(ctx, inventoryapi.ReserveRequest{Key: id, Lines: stocked(lines)})
	return err
}

// Commit implements orders.Inventory.
func (i inventory) Commit(ctx context.Context, id string, lines []orders.Line) error {
	_, err := i.Service.Commit(ctx, inventoryapi.SettleRequest{Key: id, Lines: stocked(lines)})
	return err
}

// Release implements orders.Inventory.
func (i inventory) Release(ctx context.Context, id string, lines []orders.Line) error {
	_, err := i.Service.Release(ctx, inventoryapi.SettleRequest{Key: id, Lines: stocked(lines)})
	return err
}

func stocked(lines []orders.Line) []inventoryapi.Line {
	out := make([]inventoryapi.Line, len(lines))
	for i, line := range lines {
		out[i] = inventoryapi.Line(line)
	}
	return out
}

// Authorise implements orders.Payments.
func (p payments) Authorise(ctx context.Context, id string, amount orders.Money) error {
	_, err := p.Service.Authorise(ctx, paymentsapi.AuthoriseRequest{OrderID: id, Amount: paymentsapi.Money(amount)})
	return err
}

// Capture implements orders.Payments.
func (p payments) Capture(ctx context.Context, id string) error {
	_, err := p.Service.Capture(ctx, paymentsapi.SettleRequest{OrderID: id})
	return err
}

// Void implements orders.Payments.
func (p payments) Void(ctx context.Context, id string) error {
	_, err := p.Service.Void(ctx, paymentsapi.SettleRequest{OrderID: id})
	return err
}

// Quote implements orders.Shipping.
func (s shipping) Quote(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	quote, err := s.Service.Quote(ctx, shippingapi.QuoteRequest{Lines: shipped(lines)})
	return orders.Money(quote.Cost), err
}

// Dispatch implements orders.Shipping.
func (s shipping) Dispatch(ctx context.Context, id string, lines []orders.Line) error {
	_, err := s.Service.Dispatch(ctx, shippingapi.DispatchRequest{OrderID: id, Lines: shipped(lines)})
	return err
}

// Cancel implements orders.Shipping.
func (s shipping) Cancel(ctx context.Context, id string) error {
	_, err := s.Service.Cancel(ctx, shippingapi.CancelRequest{OrderID: id})
	return err
}

func shipped(lines []orders.Line) []shippingapi.Line {
	out := make([]shippingapi.Line, len(lines))
	for i, line := range lines {
		out[i] = shippingapi.Line(line)
	}
	return out
}

// Value implements orders.Pricing.
func (p pricing) Value(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	request := pricingapi.QuoteRequest{Lines: make([]pricingapi.Line, len(lines))}
	for i, line := range lines {
		request.Lines[i] = pricingapi.Line(line)
	}
	quote, err := p.Quote(ctx, request)
	return orders.Money(quote.Total), err
}
