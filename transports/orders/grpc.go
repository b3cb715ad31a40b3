// Package orders binds the endpoints of the orders service to gRPC and REST.
package orders

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/orders"
	orderspb "github.com/kitmesh/kitmesh/transports/proto/orders/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	orderspb.UnimplementedOrdersServer
	place func(context.Context, *orderspb.PlaceRequest) (*orderspb.Order, error)
	get   func(context.Context, *orderspb.GetRequest) (*orderspb.Order, error)
	list  func(context.Context, *orderspb.ListRequest) (*orderspb.Page, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	orderspb.RegisterOrdersServer(s, server{
		place: rpc.Unary(e.PlaceEndpoint, placeRequestFromPB, orderToPB),
		get:   rpc.Unary(e.GetEndpoint, getRequestFromPB, orderToPB),
		list:  rpc.Unary(e.ListEndpoint, listRequestFromPB, pageToPB),
	})
}

func (s server) Place(ctx context.Context, r *orderspb.PlaceRequest) (*orderspb.Order, error) {
	return s.place(ctx, r)
}

func (s server) Get(ctx context.Context, r *orderspb.GetRequest) (*orderspb.Order, error) {
	return s.get(ctx, r)
}

func (s server) List(ctx context.Context, r *orderspb.ListRequest) (*orderspb.Page, error) {
	return s.list(ctx, r)
}

// Client returns the endpoints of the orders service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		PlaceEndpoint: d("orders.Place", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(orderspb.NewOrdersClient(c).Place, placeRequestToPB, orderFromPB)
		}),
		GetEndpoint: d("orders.Get", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(orderspb.NewOrdersClient(c).Get, getRequestToPB, orderFromPB)
		}),
		ListEndpoint: d("orders.List", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(orderspb.NewOrdersClient(c).List, listRequestToPB, pageFromPB)
		}),
	}
}
