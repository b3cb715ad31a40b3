package main

import (
	"context"

	catalogapi "github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/gateway"
	inventoryapi "github.com/kitmesh/kitmesh/services/inventory"
	ordersapi "github.com/kitmesh/kitmesh/services/orders"
	pricingapi "github.com/kitmesh/kitmesh/services/pricing"
	shippingapi "github.com/kitmesh/kitmesh/services/shipping"
)

// The ports of the gateway, each kept by the client of one service.
type (
	catalog   struct{ catalogapi.Service }
	pricing   struct{ pricingapi.Service }
	inventory struct{ inventoryapi.Service }
	shipping  struct{ shippingapi.Service }
	orders    struct{ ordersapi.Service }
)

// Items implements gateway.Catalog.
func (c catalog) Items(ctx context.Context, size int, token string) ([]gateway.Item, string, error) {
	page, err := c.List(ctx, catalogapi.ListRequest{PageSize: size, PageToken: token})
	if err != nil {
		return nil, "", err
	}
	items := make([]gateway.Item, len(page.Products))
	for i, p := range page.Products {
		items[i] = item(p)
	}
	return items, page.NextPageToken, nil
}

// Item implements gateway.Catalog.
func (c catalog) Item(ctx context.Context, sku string) (gateway.Item, error) {
	p, err := c.Get(ctx, catalogapi.GetRequest{SKU: sku})
	return item(p), err
}

func item(p catalogapi.Product) gateway.Item {
	return gateway.Item{SKU: p.SKU, Name: p.Name, Description: p.Description, Category: p.Category, Tagline: p.Tagline}
}

// Prices implements gateway.Pricing.
func (p pricing) Prices(ctx context.Context, skus []string) ([]gateway.Money, error) {
	lines := make([]pricingapi.Line, len(skus))
	for i, sku := range skus {
		lines[i] = pricingapi.Line{SKU: sku, Quantity: 1}
	}
	quote, err := p.Quote(ctx, pricingapi.QuoteRequest{Lines: lines})
	if err != nil {
		return nil, err
	}
	prices := make([]gateway.Money, len(quote.Lines))
	for i, line := range quote.Lines {
		prices[i] = gateway.Money(line.Unit)
	}
	return prices, nil
}

// Available implements gateway.Inventory.
func (i inventory) Available(ctx context.Context, sku string) (int, error) {
	stock, err := i.Stock(ctx, inventoryapi.StockRequest{SKU: sku})
	return stock.Available, err
}

// Estimate implements gateway.Shipping.
func (s shipping) Estimate(ctx context.Context, lines []gateway.Line) (gateway.ShippingEstimate, error) {
	request := shippingapi.QuoteRequest{Lines: make([]shippingapi.Line, len(lines))}
	for i, line := range lines {
		request.Lines[i] = shippingapi.Line(line)
	}
	quote, err := s.Quote(ctx, request)
	return gateway.ShippingEstimate{Cost: gateway.Money(quote.Cost), Days: quote.Days}, err
}

// Place implements gateway.Orders.
func (o orders) Place(ctx context.Context, r gateway.PlaceOrderRequest) (gateway.Order, error) {
	request := ordersapi.PlaceRequest{Key: r.Key, TraceID: r.TraceID, Lines: make([]ordersapi.Line, len(r.Lines))}
	for i, line := range r.Lines {
		request.Lines[i] = ordersapi.Line(line)
	}
	placed, err := o.Service.Place(ctx, request)
	return order(placed), err
}

// Order implements gateway.Orders.
func (o orders) Order(ctx context.Context, id string) (gateway.Order, error) {
	found, err := o.Get(ctx, ordersapi.GetRequest{ID: id})
	return order(found), err
}

func order(o ordersapi.Order) gateway.Order {
	lines := make([]gateway.Line, len(o.Lines))
	for i, line := range o.Lines {
		lines[i] = gateway.Line(line)
	}
	return gateway.Order{
		ID: o.ID, Status: string(o.Status), Lines: lines,
		Goods: gateway.Money(o.Goods), Shipping: gateway.Money(o.Shipping), Total: gateway.Money(o.Total),
		Reason: o.Reason, PlacedAt: o.PlacedAt, TraceID: o.TraceID,
	}
}
