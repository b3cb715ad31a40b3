package audittest

import (
	"context"

	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The adapters below do in one process what cmd does with clients of the other
// services. First those of a saga.

type stock struct{ inventory.Service }

func held(lines []orders.Line) []inventory.Line {
	return rpc.Slice(lines, func(l orders.Line) inventory.Line { return inventory.Line(l) })
}

func (s stock) Reserve(ctx context.Context, id string, lines []orders.Line) error {
	_, err := s.Service.Reserve(ctx, inventory.ReserveRequest{Key: id, Lines: held(lines)})
	return err
}

func (s stock) Commit(ctx context.Context, id string, lines []orders.Line) error {
	_, err := s.Service.Commit(ctx, inventory.SettleRequest{Key: id, Lines: held(lines)})
	return err
}

func (s stock) Release(ctx context.Context, id string, lines []orders.Line) error {
	_, err := s.Service.Release(ctx, inventory.SettleRequest{Key: id, Lines: held(lines)})
	return err
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

func packed(lines []orders.Line) []shipping.Line {
	return rpc.Slice(lines, func(l orders.Line) shipping.Line { return shipping.Line(l) })
}

func (p parcels) Quote(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	q, err := p.Service.Quote(ctx, shipping.QuoteRequest{Lines: packed(lines)})
	return orders.Money(q.Cost), err
}

func (p parcels) Dispatch(ctx context.Context, id string, lines []orders.Line) error {
	_, err := p.Service.Dispatch(ctx, shipping.DispatchRequest{OrderID: id, Lines: packed(lines)})
	return err
}

func (p parcels) Cancel(ctx context.Context, id string) error {
	_, err := p.Service.Cancel(ctx, shipping.CancelRequest{OrderID: id})
	return err
}

type basket struct{ pricing.Service }

func (b basket) Value(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	q, err := b.Quote(ctx, pricing.QuoteRequest{Lines: rpc.Slice(lines, func(l orders.Line) pricing.Line { return pricing.Line(l) })})
	return orders.Money(q.Total), err
}

// value is shipping's port to pricing.
type value struct{ pricing.Service }

func (v value) Value(ctx context.Context, lines []shipping.Line) (shipping.Money, error) {
	q, err := v.Quote(ctx, pricing.QuoteRequest{Lines: rpc.Slice(lines, func(l shipping.Line) pricing.Line { return pricing.Line(l) })})
	return shipping.Money(q.Total), err
}

// Then those of the gateway.

type shelf struct{ catalog.Service }

func (s shelf) Items(ctx context.Context, _ int, _ string) ([]gateway.Item, string, error) {
	page, err := s.List(ctx, catalog.ListRequest{PageSize: sortiment})
	return rpc.Slice(page.Products, item), "", err
}

func (s shelf) Item(ctx context.Context, sku string) (gateway.Item, error) {
	p, err := s.Get(ctx, catalog.GetRequest{SKU: sku})
	return item(p), err
}

func item(p catalog.Product) gateway.Item { return gateway.Item{SKU: p.SKU, Name: p.Name} }

type priceTag struct{ pricing.Service }

func (p priceTag) Prices(ctx context.Context, skus []string) ([]gateway.Money, error) {
	q, err := p.Quote(ctx, pricing.QuoteRequest{Lines: rpc.Slice(skus, func(sku string) pricing.Line { return pricing.Line{SKU: sku, Quantity: 1} })})
	return rpc.Slice(q.Lines, func(l pricing.PricedLine) gateway.Money { return gateway.Money(l.Unit) }), err
}

func (l levels) Available(ctx context.Context, sku string) (int, error) {
	s, err := l.any().Stock(ctx, inventory.StockRequest{SKU: sku})
	return s.Available, err
}

// noEstimate leaves the estimate off the pages.
type noEstimate struct{}

func (noEstimate) Estimate(context.Context, []gateway.Line) (gateway.ShippingEstimate, error) {
	return gateway.ShippingEstimate{}, fault.New(fault.Unavailable, "no estimates here")
}

func (t till) Place(ctx context.Context, r gateway.PlaceOrderRequest) (gateway.Order, error) {
	o, err := t.any().Place(ctx, orders.PlaceRequest{Key: r.Key, TraceID: r.TraceID,
		Lines: rpc.Slice(r.Lines, func(l gateway.Line) orders.Line { return orders.Line(l) })})
	return order(o), err
}

func (t till) Order(ctx context.Context, id string) (gateway.Order, error) {
	o, err := t.any().Get(ctx, orders.GetRequest{ID: id})
	return order(o), err
}

func order(o orders.Order) gateway.Order {
	return gateway.Order{
		ID: o.ID, Status: string(o.Status), Reason: o.Reason, PlacedAt: o.PlacedAt, TraceID: o.TraceID,
		Lines: rpc.Slice(o.Lines, func(l orders.Line) gateway.Line { return gateway.Line(l) }),
		Goods: gateway.Money(o.Goods), Shipping: gateway.Money(o.Shipping), Total: gateway.Money(o.Total),
	}
}
