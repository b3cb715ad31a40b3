// Package pricing binds the endpoints of the pricing service to gRPC and REST.
package pricing

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/pricing"
	pricingpb "github.com/kitmesh/kitmesh/transports/proto/pricing/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	pricingpb.UnimplementedPricingServer
	quote func(context.Context, *pricingpb.QuoteRequest) (*pricingpb.QuoteReply, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	pricingpb.RegisterPricingServer(s, server{
		quote: rpc.Unary(e.QuoteEndpoint, quoteRequestFromPB, quoteToPB),
	})
}

func (s server) Quote(ctx context.Context, r *pricingpb.QuoteRequest) (*pricingpb.QuoteReply, error) {
	return s.quote(ctx, r)
}

// Client returns the endpoints of the pricing service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		QuoteEndpoint: d("pricing.Quote", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(pricingpb.NewPricingClient(c).Quote, quoteRequestToPB, quoteFromPB)
		}),
	}
}
