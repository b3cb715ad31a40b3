// Package catalog collects the endpoints of the catalog service.
package catalog

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/catalog"
)

// Set holds one endpoint per method. It is itself a catalog.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	ListEndpoint endpoint.Endpoint
	GetEndpoint  endpoint.Endpoint
}

var _ catalog.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "catalog.List".
func New(svc catalog.Service, wrap endpoints.Wrapper) Set {
	return Set{
		ListEndpoint: wrap("catalog.List", endpoints.Make(svc.List)),
		GetEndpoint:  wrap("catalog.Get", endpoints.Make(svc.Get)),
	}
}

// List implements catalog.Service through its endpoint.
func (s Set) List(ctx context.Context, r catalog.ListRequest) (catalog.Page, error) {
	return endpoints.Call[catalog.Page](ctx, s.ListEndpoint, r)
}

// Get implements catalog.Service through its endpoint.
func (s Set) Get(ctx context.Context, r catalog.GetRequest) (catalog.Product, error) {
	return endpoints.Call[catalog.Product](ctx, s.GetEndpoint, r)
}
