// Package catalog binds the endpoints of the catalog service to gRPC and REST.
package catalog

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

type server struct {
	catalogpb.UnimplementedCatalogServer
	list func(context.Context, *catalogpb.ListRequest) (*catalogpb.Page, error)
	get  func(context.Context, *catalogpb.GetRequest) (*catalogpb.Product, error)
}

// Register serves e on s.
func Register(s grpc.ServiceRegistrar, e endpoints.Set) {
	catalogpb.RegisterCatalogServer(s, server{
		list: rpc.Unary(e.ListEndpoint, listRequestFromPB, pageToPB),
		get:  rpc.Unary(e.GetEndpoint, getRequestFromPB, productToPB),
	})
}

func (s server) List(ctx context.Context, r *catalogpb.ListRequest) (*catalogpb.Page, error) {
	return s.list(ctx, r)
}

func (s server) Get(ctx context.Context, r *catalogpb.GetRequest) (*catalogpb.Product, error) {
	return s.get(ctx, r)
}

// Client returns the endpoints of the catalog service that d reaches.
func Client(d rpc.Dialer) endpoints.Set {
	return endpoints.Set{
		ListEndpoint: d("catalog.List", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(catalogpb.NewCatalogClient(c).List, listRequestToPB, pageFromPB)
		}),
		GetEndpoint: d("catalog.Get", func(c grpc.ClientConnInterface) endpoint.Endpoint {
			return rpc.Remote(catalogpb.NewCatalogClient(c).Get, getRequestToPB, productFromPB)
		}),
	}
}
