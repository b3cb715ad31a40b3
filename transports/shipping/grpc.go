// Package shipping binds the endpoints of the shipping service to gRPC and REST.
package shipping

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/shipping"
	shippingpb "github.com/kitmesh/kitmesh/transports/proto/shipping/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	shippingpb.UnimplementedShippingServer
	quote    func(context.Context, *shippingpb.QuoteRequest) (*shippingpb.QuoteReply, error)
	dispatch func(context.Context, *shippingpb.DispatchRequest) (*shippingpb.Shipment, error)
	cancel   func(context.Context, *shippingpb.CancelRequest) (*shippingpb.Shipment, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	shippingpb.RegisterShippingServer(s, server{
		quote:    rpc.Unary(e.QuoteEndpoint, quoteRequestFromPB, quoteToPB),
		dispatch: rpc.Unary(e.DispatchEndpoint, dispatchRequestFromPB, shipmentToPB),
		cancel:   rpc.Unary(e.CancelEndpoint, cancelRequestFromPB, shipmentToPB),
	})
}

func (s server) Quote(ctx context.Context, r *shippingpb.QuoteRequest) (*shippingpb.QuoteReply, error) {
	return s.quote(ctx, r)
}

func (s server) Dispatch(ctx context.Context, r *shippingpb.DispatchRequest) (*shippingpb.Shipment, error) {
	return s.dispatch(ctx, r)
}

func (s server) Cancel(ctx context.Context, r *shippingpb.CancelRequest) (*shippingpb.Shipment, error) {
	return s.cancel(ctx, r)
}

// Client returns the endpoints of the shipping service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		QuoteEndpoint: d("shipping.Quote", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(shippingpb.NewShippingClient(c).Quote, quoteRequestToPB, quoteFromPB)
		}),
		DispatchEndpoint: d("shipping.Dispatch", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(shippingpb.NewShippingClient(c).Dispatch, dispatchRequestToPB, shipmentFromPB)
		}),
		CancelEndpoint: d("shipping.Cancel", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(shippingpb.NewShippingClient(c).Cancel, cancelRequestToPB, shipmentFromPB)
		}),
	}
}
