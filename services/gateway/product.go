package gateway

import (
	"context"
	"fmt"
	"sync"

	"github.com/kitmesh/kitmesh/services/fault"
)

// answers collects what the four dependencies of a product page said. Each
// field is written by one goroutine.
type answers struct {
	item     Item
	price    Money
	stock    int
	shipping ShippingEstimate

	itemErr, priceErr, stockErr, shippingErr error
}

// Product asks all four dependencies at once. The catalog decides: its failure
// is the answer and calls the others off. What the others cannot say in time is
// left out and named in Partial, also when they do not know a SKU the catalog
// sells.
func (g *gateway) Product(ctx context.Context, req ProductRequest) (ProductPage, error) {
	if req.SKU == "" {
		return ProductPage{}, fault.New(fault.Invalid, "the SKU is empty; ask for /v1/products/{sku}")
	}
	got := g.askAll(ctx, req.SKU)
	if got.itemErr != nil {
		return ProductPage{}, got.itemErr
	}
	// A page is partial for want of an answer, not because its reader has gone.
	if err := ctx.Err(); err != nil {
		return ProductPage{}, fmt.Errorf("gateway: product page: %w", err)
	}
	page := ProductPage{
		SKU: got.item.SKU, Name: got.item.Name, Description: got.item.Description,
		Category: got.item.Category, Tagline: got.item.Tagline,
		Price: &got.price, Available: &got.stock, Shipping: &got.shipping,
	}
	if got.priceErr != nil {
		page.Price = nil
		page.Partial = append(page.Partial, g.missed(ctx, PartPrice, got.priceErr))
	}
	if got.stockErr != nil {
		page.Available = nil
		page.Partial = append(page.Partial, g.missed(ctx, PartStock, got.stockErr))
	}
	if got.shippingErr != nil {
		page.Shipping = nil
		page.Partial = append(page.Partial, g.missed(ctx, PartShipping, got.shippingErr))
	}
	return page, nil
}

// askAll returns when every call has: the slowest takes its own timeout.
func (g *gateway) askAll(ctx context.Context, sku string) *answers {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		got = new(answers)
		all sync.WaitGroup
	)
	all.Go(func() {
		got.item, got.itemErr = guard(ctx, "catalog", g.options.CatalogTimeout, func(ctx context.Context) (Item, error) {
			return g.ports.Catalog.Item(ctx, sku)
		})
		if got.itemErr != nil {
			cancel()
		}
	})
	all.Go(func() {
		var prices []Money
		prices, got.priceErr = g.prices(ctx, []string{sku})
		if got.priceErr == nil {
			got.price = prices[0]
		}
	})
	all.Go(func() {
		got.stock, got.stockErr = guard(ctx, "inventory", g.options.StockTimeout, func(ctx context.Context) (int, error) {
			return g.ports.Inventory.Available(ctx, sku)
		})
	})
	all.Go(func() {
		got.shipping, got.shippingErr = guard(ctx, "shipping", g.options.ShippingTimeout, func(ctx context.Context) (ShippingEstimate, error) {
			return g.ports.Shipping.Estimate(ctx, []Line{{SKU: sku, Quantity: 1}})
		})
	})
	all.Wait()
	return got
}

// prices returns one price for each SKU or an error.
func (g *gateway) prices(ctx context.Context, skus []string) ([]Money, error) {
	return guard(ctx, "pricing", g.options.PricingTimeout, func(ctx context.Context) ([]Money, error) {
		prices, err := g.ports.Pricing.Prices(ctx, skus)
		if err == nil && len(prices) != len(skus) {
			err = fault.New(fault.Internal, "pricing answered %d prices for %d products", len(prices), len(skus))
		}
		return prices, err
	})
}

// missed reports why part is missing and returns its name.
func (g *gateway) missed(ctx context.Context, part string, err error) string {
	g.options.Missed(ctx, part, err)
	return part
}
