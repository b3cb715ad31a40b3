package ports

import (
	"context"

	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// Orders are the ports of a saga.
func Orders(i inventory.Service, p payments.Service, s shipping.Service, q pricing.Service) orders.Ports {
	return orders.Ports{Inventory: goods{i}, Payments: money{p}, Shipping: parcels{s}, Pricing: basket{q}}
}

type goods struct{ inventory.Service }

func (g goods) Reserve(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.Service.Reserve(ctx, inventory.ReserveRequest{Key: id, Lines: held(lines)})
	return err
}

func (g goods) Commit(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.Service.Commit(ctx, inventory.SettleRequest{Key: id, Lines: held(lines)})
	return err
}

func (g goods) Release(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.Service.Release(ctx, inventory.SettleRequest{Key: id, Lines: held(lines)})
	return err
}

func held(lines []orders.Line) []inventory.Line {
	return rpc.Slice(lines, func(l orders.Line) inventory.Line { return inventory.Line(l) })
}

type money struct{ payments.Service }

func (m money) Authorise(ctx context.Context, id string, amount orders.Money) error {
	_, err := m.Service.Authorise(ctx, payments.AuthoriseRequest{OrderID: id, Amount: payments.Money(amount)})
	return err
}

func (m money) Capture(ctx context.Context, id string) error {
	_, err := m.Service.Capture(ctx, payments.SettleRequest{OrderID: id})
	return err
}

func (m money) Void(ctx context.Context, id string) error {
	_, err := m.Service.Void(ctx, payments.SettleRequest{OrderID: id})
	return err
}

type parcels struct{ shipping.Service }

func (p parcels) Quote(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	quote, err := p.Service.Quote(ctx, shipping.QuoteRequest{Lines: packed(lines)})
	return orders.Money(quote.Cost), err
}

func (p parcels) Dispatch(ctx context.Context, id string, lines []orders.Line) error {
	_, err := p.Service.Dispatch(ctx, shipping.DispatchRequest{OrderID: id, Lines: packed(lines)})
	return err
}

func (p parcels) Cancel(ctx context.Context, id string) error {
	_, err := p.Service.Cancel(ctx, shipping.CancelRequest{OrderID: id})
	return err
}

func packed(lines []orders.Line) []shipping.Line {
	return rpc.Slice(lines, func(l orders.Line) shipping.Line { return shipping.Line(l) })
}

type basket struct{ pricing.Service }

func (b basket) Value(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	quote, err := b.Quote(ctx, pricing.QuoteRequest{
		Lines: rpc.Slice(lines, func(l orders.Line) pricing.Line { return pricing.Line(l) }),
	})
	return orders.Money(quote.Total), err
}
