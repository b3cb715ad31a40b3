// Package payments collects the endpoints of the payments service.
package payments

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/payments"
)

// Set holds one endpoint per method. It is itself a payments.Service, so a Set of
// remote endpoints is a client.
type Set struct {
	AuthoriseEndpoint endpoint.Endpoint
	CaptureEndpoint   endpoint.Endpoint
	VoidEndpoint      endpoint.Endpoint
}

var _ payments.Service = Set{}

// New exposes svc as endpoints, each decorated by wrap under its full name,
// such as "payments.Authorise".
func New(svc payments.Service, wrap endpoints.Wrapper) Set {
	return Set{
		AuthoriseEndpoint: wrap("payments.Authorise", endpoints.Make(svc.Authorise)),
		CaptureEndpoint:   wrap("payments.Capture", endpoints.Make(svc.Capture)),
		VoidEndpoint:      wrap("payments.Void", endpoints.Make(svc.Void)),
	}
}

// Authorise implements payments.Service through its endpoint.
func (s Set) Authorise(ctx context.Context, r payments.AuthoriseRequest) (payments.Payment, error) {
	return endpoints.Call[payments.Payment](ctx, s.AuthoriseEndpoint, r)
}

// Capture implements payments.Service through its endpoint.
func (s Set) Capture(ctx context.Context, r payments.SettleRequest) (payments.Payment, error) {
	return endpoints.Call[payments.Payment](ctx, s.CaptureEndpoint, r)
}

// Void implements payments.Service through its endpoint.
func (s Set) Void(ctx context.Context, r payments.SettleRequest) (payments.Payment, error) {
	return endpoints.Call[payments.Payment](ctx, s.VoidEndpoint, r)
}
