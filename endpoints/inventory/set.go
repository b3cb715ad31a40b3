// Package inventory collects the endpoints of the inventory service.
package inventory

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// Set holds one endpoint per method. It is itself an inventory.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	ReserveEndpoint endpoint.Endpoint
	CommitEndpoint  endpoint.Endpoint
	ReleaseEndpoint endpoint.Endpoint
	StockEndpoint   endpoint.Endpoint
}

var _ inventory.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "inventory.Reserve".
func New(svc inventory.Service, wrap endpoints.Wrapper) Set {
	return Set{
		ReserveEndpoint: wrap("inventory.Reserve", endpoints.Make(svc.Reserve)),
		CommitEndpoint:  wrap("inventory.Commit", endpoints.Make(svc.Commit)),
		ReleaseEndpoint: wrap("inventory.Release", endpoints.Make(svc.Release)),
		StockEndpoint:   wrap("inventory.Stock", endpoints.Make(svc.Stock)),
	}
}

// Reserve implements inventory.Service through its endpoint.
func (s Set) Reserve(ctx context.Context, r inventory.ReserveRequest) (inventory.Reservation, error) {
	return endpoints.Call[inventory.Reservation](ctx, s.ReserveEndpoint, r)
}

// Commit implements inventory.Service through its endpoint.
func (s Set) Commit(ctx context.Context, r inventory.SettleRequest) (inventory.Reservation, error) {
	return endpoints.Call[inventory.Reservation](ctx, s.CommitEndpoint, r)
}

// Release implements inventory.Service through its endpoint.
func (s Set) Release(ctx context.Context, r inventory.SettleRequest) (inventory.Reservation, error) {
	return endpoints.Call[inventory.Reservation](ctx, s.ReleaseEndpoint, r)
}

// Stock implements inventory.Service through its endpoint.
func (s Set) Stock(ctx context.Context, r inventory.StockRequest) (inventory.Stock, error) {
	return endpoints.Call[inventory.Stock](ctx, s.StockEndpoint, r)
}
