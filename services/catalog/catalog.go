package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/services/fault"
)

// The versions of the catalog: v2 is v1 with taglines, which makes a canary
// visible to the naked eye.
const (
	V1 = "v1"
	V2 = "v2"
)

// catalog holds every product in memory; it is immutable after New.
type catalog struct {
	products []Product      // ordered by SKU
	bySKU    map[string]int // index into products
}

// New returns the catalog of the embedded products as version V1 or V2 shows
// them, and an error for any other version.
func New(version string) (Service, error) {
	if version != V1 && version != V2 {
		return nil, fmt.Errorf("catalog: unknown version %q: use %s (without taglines) or %s (with taglines)", version, V1, V2)
	}
	products, err := parse(productsCSV)
	if err != nil {
		return nil, fmt.Errorf("catalog: products.csv: %w", err)
	}
	c := &catalog{products: products, bySKU: make(map[string]int, len(products))}
	for i := range products {
		if version == V1 {
			products[i].Tagline = ""
		}
		c.bySKU[products[i].SKU] = i
	}
	return c, nil
}

func (c *catalog) List(_ context.Context, req ListRequest) (Page, error) {
	size := req.PageSize
	if size == 0 {
		size = DefaultPageSize
	}
	if size < 1 || size > MaxPageSize {
		return Page{}, fault.New(fault.Invalid, "page_size is %d; use 1 to %d, or leave it out for %d", req.PageSize, MaxPageSize, DefaultPageSize)
	}
	start := 0
	if req.PageToken != "" {
		after, err := readToken(req.PageToken)
		if err != nil {
			return Page{}, err
		}
		start = c.firstAfter(after)
	}
	end := min(start+size, len(c.products))
	// A copy, never nil: callers may change it, and JSON shows [] for no products.
	page := Page{Products: append([]Product{}, c.products[start:end]...)}
	if end < len(c.products) {
		page.NextPageToken = writeToken(c.products[end-1].SKU)
	}
	return page, nil
}

func (c *catalog) Get(_ context.Context, req GetRequest) (Product, error) {
	i, ok := c.bySKU[req.SKU]
	if !ok {
		return Product{}, fault.New(fault.NotFound, "there is no product %.64q; the listing shows every SKU", req.SKU)
	}
	return c.products[i], nil
}

// firstAfter returns the index of the first product whose SKU is greater than
// sku, which need not be on sale any more.
func (c *catalog) firstAfter(sku string) int {
	i, found := slices.BinarySearchFunc(c.products, sku, func(p Product, sku string) int {
		return strings.Compare(p.SKU, sku)
	})
	if found {
		i++
	}
	return i
}
