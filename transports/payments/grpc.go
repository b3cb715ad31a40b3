// Package payments binds the endpoints of the payments service to gRPC and REST.
package payments

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/payments"
	paymentspb "github.com/kitmesh/kitmesh/transports/proto/payments/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	paymentspb.UnimplementedPaymentsServer
	authorise func(context.Context, *paymentspb.AuthoriseRequest) (*paymentspb.Payment, error)
	capture   func(context.Context, *paymentspb.SettleRequest) (*paymentspb.Payment, error)
	void      func(context.Context, *paymentspb.SettleRequest) (*paymentspb.Payment, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	paymentspb.RegisterPaymentsServer(s, server{
		authorise: rpc.Unary(e.AuthoriseEndpoint, authoriseRequestFromPB, paymentToPB),
		capture:   rpc.Unary(e.CaptureEndpoint, settleRequestFromPB, paymentToPB),
		void:      rpc.Unary(e.VoidEndpoint, settleRequestFromPB, paymentToPB),
	})
}

func (s server) Authorise(ctx context.Context, r *paymentspb.AuthoriseRequest) (*paymentspb.Payment, error) {
	return s.authorise(ctx, r)
}

func (s server) Capture(ctx context.Context, r *paymentspb.SettleRequest) (*paymentspb.Payment, error) {
	return s.capture(ctx, r)
}

func (s server) Void(ctx context.Context, r *paymentspb.SettleRequest) (*paymentspb.Payment, error) {
	return s.void(ctx, r)
}

// Client returns the endpoints of the payments service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		AuthoriseEndpoint: d("payments.Authorise", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(paymentspb.NewPaymentsClient(c).Authorise, authoriseRequestToPB, paymentFromPB)
		}),
		CaptureEndpoint: d("payments.Capture", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(paymentspb.NewPaymentsClient(c).Capture, settleRequestToPB, paymentFromPB)
		}),
		VoidEndpoint: d("payments.Void", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(paymentspb.NewPaymentsClient(c).Void, settleRequestToPB, paymentFromPB)
		}),
	}
}
