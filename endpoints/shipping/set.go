// Package shipping collects the endpoints of the shipping service.
package shipping

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/shipping"
)

// Set holds one endpoint per method. It is itself a shipping.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	QuoteEndpoint    endpoint.Endpoint
	DispatchEndpoint endpoint.Endpoint
	CancelEndpoint   endpoint.Endpoint
}

var _ shipping.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "shipping.Quote".
func New(svc shipping.Service, wrap endpoints.Wrapper) Set {
	return Set{
		QuoteEndpoint:    wrap("shipping.Quote", endpoints.Make(svc.Quote)),
		DispatchEndpoint: wrap("shipping.Dispatch", endpoints.Make(svc.Dispatch)),
		CancelEndpoint:   wrap("shipping.Cancel", endpoints.Make(svc.Cancel)),
	}
}

// Quote implements shipping.Service through its endpoint.
func (s Set) Quote(ctx context.Context, r shipping.QuoteRequest) (shipping.Quote, error) {
	return endpoints.Call[shipping.Quote](ctx, s.QuoteEndpoint, r)
}

// Dispatch implements shipping.Service through its endpoint.
func (s Set) Dispatch(ctx context.Context, r shipping.DispatchRequest) (shipping.Shipment, error) {
	return endpoints.Call[shipping.Shipment](ctx, s.DispatchEndpoint, r)
}

// Cancel implements shipping.Service through its endpoint.
func (s Set) Cancel(ctx context.Context, r shipping.CancelRequest) (shipping.Shipment, error) {
	return endpoints.Call[shipping.Shipment](ctx, s.CancelEndpoint, r)
}
