package gateway

import (
	"context"
	"fmt"
)

// Browse lists products and asks pricing once for all of them: a page of twenty
// must not cost twenty calls. Without an answer from pricing no product has a
// price.
func (g *gateway) Browse(ctx context.Context, req BrowseRequest) (Listing, error) {
	var next string
	items, err := guard(ctx, "catalog", g.options.CatalogTimeout, func(ctx context.Context) (items []Item, err error) {
		items, next, err = g.ports.Catalog.Items(ctx, req.PageSize, req.PageToken)
		return items, err
	})
	if err != nil {
		return Listing{}, err
	}
	listing := Listing{Products: make([]ListedProduct, len(items)), NextPageToken: next}
	skus := make([]string, len(items))
	for i, item := range items {
		listing.Products[i] = ListedProduct{SKU: item.SKU, Name: item.Name, Category: item.Category}
		skus[i] = item.SKU
	}
	if len(skus) == 0 {
		return listing, nil
	}
	prices, err := g.prices(ctx, skus)
	switch {
	case ctx.Err() != nil: // the reader has gone
		return Listing{}, fmt.Errorf("gateway: listing: %w", ctx.Err())
	case err != nil:
		listing.Partial = []string{g.missed(ctx, PartPrice, err)}
		return listing, nil
	}
	for i := range prices {
		listing.Products[i].Price = &prices[i]
	}
	return listing, nil
}
