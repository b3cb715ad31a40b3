// Package inventory binds the endpoints of the inventory service to gRPC and REST.
package inventory

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/inventory"
	inventorypb "github.com/kitmesh/kitmesh/transports/proto/inventory/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	inventorypb.UnimplementedInventoryServer
	reserve func(context.Context, *inventorypb.ReserveRequest) (*inventorypb.Reservation, error)
	commit  func(context.Context, *inventorypb.SettleRequest) (*inventorypb.Reservation, error)
	release func(context.Context, *inventorypb.SettleRequest) (*inventorypb.Reservation, error)
	stock   func(context.Context, *inventorypb.StockRequest) (*inventorypb.StockReply, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	inventorypb.RegisterInventoryServer(s, server{
		reserve: rpc.Unary(e.ReserveEndpoint, reserveRequestFromPB, reservationToPB),
		commit:  rpc.Unary(e.CommitEndpoint, settleRequestFromPB, reservationToPB),
		release: rpc.Unary(e.ReleaseEndpoint, settleRequestFromPB, reservationToPB),
		stock:   rpc.Unary(e.StockEndpoint, stockRequestFromPB, stockToPB),
	})
}

func (s server) Reserve(ctx context.Context, r *inventorypb.ReserveRequest) (*inventorypb.Reservation, error) {
	return s.reserve(ctx, r)
}

func (s server) Commit(ctx context.Context, r *inventorypb.SettleRequest) (*inventorypb.Reservation, error) {
	return s.commit(ctx, r)
}

func (s server) Release(ctx context.Context, r *inventorypb.SettleRequest) (*inventorypb.Reservation, error) {
	return s.release(ctx, r)
}

func (s server) Stock(ctx context.Context, r *inventorypb.StockRequest) (*inventorypb.StockReply, error) {
	return s.stock(ctx, r)
}

// Client returns the endpoints of the inventory service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		ReserveEndpoint: d("inventory.Reserve", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(inventorypb.NewInventoryClient(c).Reserve, reserveRequestToPB, reservationFromPB)
		}),
		CommitEndpoint: d("inventory.Commit", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(inventorypb.NewInventoryClient(c).Commit, settleRequestToPB, reservationFromPB)
		}),
		ReleaseEndpoint: d("inventory.Release", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(inventorypb.NewInventoryClient(c).Release, settleRequestToPB, reservationFromPB)
		}),
		StockEndpoint: d("inventory.Stock", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(inventorypb.NewInventoryClient(c).Stock, stockRequestToPB, stockFromPB)
		}),
	}
}
