package gateway

import "context"

// Ports are the services behind the gateway, each cut down to what a page
// needs. A port returns soon after its context ends: the gateway waits for
// every call it started, so that none outlives its request. Failures are
// faults.
type Ports struct {
	Catalog   Catalog
	Pricing   Pricing
	Inventory Inventory
	Shipping  Shipping
	Orders    Orders
}

type (
	// Catalog knows what the shop sells.
	Catalog interface {
		// Items returns one page and the token of the next, empty on the last.
		// size 0 leaves the size to the catalog.
		Items(ctx context.Context, size int, token string) (items []Item, next string, err error)
		// Item fails with fault.NotFound when there is no such SKU.
		Item(ctx context.Context, sku string) (Item, error)
	}
	// Pricing knows what things cost.
	Pricing interface {
		// Prices returns the price of one unit of each SKU, in their order. It
		// fails with fault.NotFound when one of them is unknown.
		Prices(ctx context.Context, skus []string) ([]Money, error)
	}
	// Inventory knows what is on the shelf.
	Inventory interface {
		// Available returns the units of a SKU that can still be sold.
		Available(ctx context.Context, sku string) (int, error)
	}
	// Shipping knows what a delivery costs.
	Shipping interface {
		Estimate(ctx context.Context, lines []Line) (ShippingEstimate, error)
	}
	// Orders takes orders. The Status of the orders it returns is the saga's
	// own word; the gateway translates it.
	Orders interface {
		Place(ctx context.Context, req PlaceOrderRequest) (Order, error)
		// Order fails with fault.NotFound when there is no such order.
		Order(ctx context.Context, id string) (Order, error)
	}
)

// Item is what the catalog says about one product.
type Item struct {
	SKU         string
	Name        string
	Description string
	Category    string
	Tagline     string
}
