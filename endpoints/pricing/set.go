// Package pricing collects the endpoints of the pricing service.
package pricing

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/pricing"
)

// Set holds one endpoint per method. It is itself a pricing.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	QuoteEndpoint endpoint.Endpoint
}

var _ pricing.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "pricing.Quote".
func New(svc pricing.Service, wrap endpoints.Wrapper) Set {
	return Set{
		QuoteEndpoint: wrap("pricing.Quote", endpoints.Make(svc.Quote)),
	}
}

// Quote implements pricing.Service through its endpoint.
func (s Set) Quote(ctx context.Context, r pricing.QuoteRequest) (pricing.Quote, error) {
	return endpoints.Call[pricing.Quote](ctx, s.QuoteEndpoint, r)
}
