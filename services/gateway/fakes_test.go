package gateway_test

import (
	"context"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
)

// dependency is how a fake behaves: it takes its time, then fails, panics or
// answers.
type dependency struct {
	takes  time.Duration
	err    error
	panics any
	deaf   bool // ignores the end of its context while it takes its time
}

// call behaves, and returns early when the context ends, as a port must.
func (d dependency) call(ctx context.Context) error {
	if d.takes > 0 {
		timer := time.NewTimer(d.takes)
		defer timer.Stop()
		ended := ctx.Done()
		if d.deaf {
			ended = nil
		}
		select {
		case <-timer.C:
		case <-ended:
			return ctx.Err()
		}
	}
	if d.panics != nil {
		panic(d.panics)
	}
	return d.err
}

// shop is every port in one: it sells what items holds, five of each at 9.90.
type shop struct {
	catalog, pricing, inventory, shipping, orders dependency

	items  []gateway.Item
	prices []gateway.Money // what pricing answers, whatever was asked; nil: 9.90 each
	order  gateway.Order   // what orders answers

	mu     sync.Mutex
	asked  [][]string // SKUs of each call to pricing
	placed []gateway.PlaceOrderRequest
}

func (s *shop) ports() gateway.Ports {
	return gateway.Ports{Catalog: catalogPort{s}, Pricing: pricingPort{s}, Inventory: inventoryPort{s}, Shipping: shippingPort{s}, Orders: ordersPort{s}}
}

type (
	catalogPort   struct{ *shop }
	pricingPort   struct{ *shop }
	inventoryPort struct{ *shop }
	shippingPort  struct{ *shop }
	ordersPort    struct{ *shop }
)

func (s catalogPort) Item(ctx context.Context, sku string) (gateway.Item, error) {
	if err := s.catalog.call(ctx); err != nil {
		return gateway.Item{}, err
	}
	for _, item := range s.items {
		if item.SKU == sku {
			return item, nil
		}
	}
	return gateway.Item{}, fault.New(fault.NotFound, "there is no product %q", sku)
}

func (s catalogPort) Items(ctx context.Context, size int, token string) ([]gateway.Item, string, error) {
	if err := s.catalog.call(ctx); err != nil {
		return nil, "", err
	}
	if token != "" {
		return nil, "", nil
	}
	return s.items[:min(size, len(s.items))], "next", nil
}

func (s pricingPort) Prices(ctx context.Context, skus []string) ([]gateway.Money, error) {
	s.mu.Lock()
	s.asked = append(s.asked, skus)
	s.mu.Unlock()
	if err := s.pricing.call(ctx); err != nil {
		return nil, err
	}
	if s.shop.prices != nil {
		return s.shop.prices, nil
	}
	prices := make([]gateway.Money, len(skus))
	for i := range prices {
		prices[i] = gateway.Money{Amount: 990, Currency: "EUR"}
	}
	return prices, nil
}

func (s inventoryPort) Available(ctx context.Context, _ string) (int, error) {
	return 5, s.inventory.call(ctx)
}

func (s shippingPort) Estimate(ctx context.Context, lines []gateway.Line) (gateway.ShippingEstimate, error) {
	return gateway.ShippingEstimate{Cost: gateway.Money{Amount: 390, Currency: "EUR"}, Days: 1 + lines[0].Quantity}, s.shipping.call(ctx)
}

func (s ordersPort) Place(ctx context.Context, req gateway.PlaceOrderRequest) (gateway.Order, error) {
	s.mu.Lock()
	s.placed = append(s.placed, req)
	s.mu.Unlock()
	return s.order, s.orders.call(ctx)
}

func (s ordersPort) Order(ctx context.Context, id string) (gateway.Order, error) {
	if err := s.orders.call(ctx); err != nil {
		return gateway.Order{}, err
	}
	if id != s.order.ID {
		return gateway.Order{}, fault.New(fault.NotFound, "there is no order %q", id)
	}
	return s.order, nil
}
