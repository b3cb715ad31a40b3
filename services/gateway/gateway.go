package gateway

import (
	"context"
	"time"
)

// Options tune the gateway; the zero value works.
type Options struct {
	// How long each dependency may take, counted from the start of its call. 0
	// means the default.
	CatalogTimeout  time.Duration // 2 s: without it there is no page
	PricingTimeout  time.Duration // 250 ms
	StockTimeout    time.Duration // 250 ms
	ShippingTimeout time.Duration // 300 ms
	OrdersTimeout   time.Duration // 5 s: what takes longer is answered as pending
	// Missed is told why a page goes out without one of its parts, for logs and
	// metrics; it may be called concurrently.
	Missed func(ctx context.Context, part string, err error)
}

// The parts a page can be without, in the order Partial names them.
const (
	PartPrice    = "price"
	PartStock    = "stock"
	PartShipping = "shipping"
)

// gateway keeps nothing between requests.
type gateway struct {
	ports   Ports
	options Options
}

// New returns the gateway in front of ports, all of which must be set.
func New(ports Ports, options Options) Service {
	for _, timeout := range []struct {
		value   *time.Duration
		instead time.Duration
	}{
		{&options.CatalogTimeout, 2 * time.Second},
		{&options.PricingTimeout, 250 * time.Millisecond},
		{&options.StockTimeout, 250 * time.Millisecond},
		{&options.ShippingTimeout, 300 * time.Millisecond},
		{&options.OrdersTimeout, 5 * time.Second},
	} {
		if *timeout.value <= 0 {
			*timeout.value = timeout.instead
		}
	}
	if options.Missed == nil {
		options.Missed = func(context.Context, string, error) {}
	}
	return &gateway{ports: ports, options: options}
}
