package ports

import (
	"context"

	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/gateway"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// Gateway are the ports of the gateway.
func Gateway(c catalog.Service, q pricing.Service, i inventory.Service, s shipping.Service, o orders.Service) gateway.Ports {
	return gateway.Ports{Catalog: shelf{c}, Pricing: tags{q}, Inventory: levels{i}, Shipping: estimates{s}, Orders: till{o}}
}

type shelf struct{ catalog.Service }

func (s shelf) Items(ctx context.Context, size int, token string) ([]gateway.Item, string, error) {
	page, err := s.List(ctx, catalog.ListRequest{PageSize: size, PageToken: token})
	if err != nil {
		return nil, "", err
	}
	return rpc.Slice(page.Products, item), page.NextPageToken, nil
}

func (s shelf) Item(ctx context.Context, sku string) (gateway.Item, error) {
	p, err := s.Get(ctx, catalog.GetRequest{SKU: sku})
	return item(p), err
}

func item(p catalog.Product) gateway.Item {
	return gateway.Item{SKU: p.SKU, Name: p.Name, Description: p.Description, Category: p.Category, Tagline: p.Tagline}
}

type tags struct{ pricing.Service }

func (t tags) Prices(ctx context.Context, skus []string) ([]gateway.Money, error) {
	quote, err := t.Quote(ctx, pricing.QuoteRequest{
		Lines: rpc.Slice(skus, func(sku string) pricing.Line { return pricing.Line{SKU: sku, Quantity: 1} }),
	})
	if err != nil {
		return nil, err
	}
	return rpc.Slice(quote.Lines, func(l pricing.PricedLine) gateway.Money { return gateway.Money(l.Unit) }), nil
}

type levels struct{ inventory.Service }

func (l levels) Available(ctx context.Context, sku string) (int, error) {
	stock, err := l.Stock(ctx, inventory.StockRequest{SKU: sku})
	return stock.Available, err
}

type estimates struct{ shipping.Service }

func (e estimates) Estimate(ctx context.Context, lines []gateway.Line) (gateway.ShippingEstimate, error) {
	quote, err := e.Quote(ctx, shipping.QuoteRequest{
		Lines: rpc.Slice(lines, func(l gateway.Line) shipping.Line { return shipping.Line(l) }),
	})
	return gateway.ShippingEstimate{Cost: gateway.Money(quote.Cost), Days: quote.Days}, err
}

type till struct{ orders.Service }

func (t till) Place(ctx context.Context, r gateway.PlaceOrderRequest) (gateway.Order, error) {
	placed, err := t.Service.Place(ctx, orders.PlaceRequest{
		Key: r.Key, TraceID: r.TraceID,
		Lines: rpc.Slice(r.Lines, func(l gateway.Line) orders.Line { return orders.Line(l) }),
	})
	return order(placed), err
}

func (t till) Order(ctx context.Context, id string) (gateway.Order, error) {
	found, err := t.Get(ctx, orders.GetRequest{ID: id})
	return order(found), err
}

func order(o orders.Order) gateway.Order {
	return gateway.Order{
		ID: o.ID, Status: string(o.Status),
		Lines: rpc.Slice(o.Lines, func(l orders.Line) gateway.Line { return gateway.Line(l) }),
		Goods: gateway.Money(o.Goods), Shipping: gateway.Money(o.Shipping), Total: gateway.Money(o.Total),
		Reason: o.Reason, PlacedAt: o.PlacedAt, TraceID: o.TraceID,
	}
}
