// Package orders collects the endpoints of the orders service.
package orders

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/orders"
)

// Set holds one endpoint per method. It is itself an orders.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	PlaceEndpoint endpoint.Endpoint
	GetEndpoint   endpoint.Endpoint
	ListEndpoint  endpoint.Endpoint
}

var _ orders.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "orders.Place".
func New(svc orders.Service, wrap endpoints.Wrapper) Set {
	return Set{
		PlaceEndpoint: wrap("orders.Place", endpoints.Make(svc.Place)),
		GetEndpoint:   wrap("orders.Get", endpoints.Make(svc.Get)),
		ListEndpoint:  wrap("orders.List", endpoints.Make(svc.List)),
	}
}

// Place implements orders.Service through its endpoint.
func (s Set) Place(ctx context.Context, r orders.PlaceRequest) (orders.Order, error) {
	return endpoints.Call[orders.Order](ctx, s.PlaceEndpoint, r)
}

// Get implements orders.Service through its endpoint.
func (s Set) Get(ctx context.Context, r orders.GetRequest) (orders.Order, error) {
	return endpoints.Call[orders.Order](ctx, s.GetEndpoint, r)
}

// List implements orders.Service through its endpoint.
func (s Set) List(ctx context.Context, r orders.ListRequest) (orders.Page, error) {
	return endpoints.Call[orders.Page](ctx, s.ListEndpoint, r)
}
