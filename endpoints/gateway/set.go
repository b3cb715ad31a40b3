// Package gateway collects the endpoints of the gateway service.
package gateway

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/gateway"
)

// Set holds one endpoint per method. It is itself a gateway.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	BrowseEndpoint     endpoint.Endpoint
	ProductEndpoint    endpoint.Endpoint
	PlaceOrderEndpoint endpoint.Endpoint
	GetOrderEndpoint   endpoint.Endpoint
}

var _ gateway.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "gateway.Browse".
func New(svc gateway.Service, wrap endpoints.Wrapper) Set {
	return Set{
		BrowseEndpoint:     wrap("gateway.Browse", endpoints.Make(svc.Browse)),
		ProductEndpoint:    wrap("gateway.Product", endpoints.Make(svc.Product)),
		PlaceOrderEndpoint: wrap("gateway.PlaceOrder", endpoints.Make(svc.PlaceOrder)),
		GetOrderEndpoint:   wrap("gateway.GetOrder", endpoints.Make(svc.GetOrder)),
	}
}

// Browse implements gateway.Service through its endpoint.
func (s Set) Browse(ctx context.Context, r gateway.BrowseRequest) (gateway.Listing, error) {
	return endpoints.Call[gateway.Listing](ctx, s.BrowseEndpoint, r)
}

// Product implements gateway.Service through its endpoint.
func (s Set) Product(ctx context.Context, r gateway.ProductRequest) (gateway.ProductPage, error) {
	return endpoints.Call[gateway.ProductPage](ctx, s.ProductEndpoint, r)
}

// PlaceOrder implements gateway.Service through its endpoint.
func (s Set) PlaceOrder(ctx context.Context, r gateway.PlaceOrderRequest) (gateway.Order, error) {
	return endpoints.Call[gateway.Order](ctx, s.PlaceOrderEndpoint, r)
}

// GetOrder implements gateway.Service through its endpoint.
func (s Set) GetOrder(ctx context.Context, r gateway.GetOrderRequest) (gateway.Order, error) {
	return endpoints.Call[gateway.Order](ctx, s.GetOrderEndpoint, r)
}
