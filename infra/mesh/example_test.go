package mesh_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"

	mesh "github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consul"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// A go-kit user's own service joins the mesh and calls another one.
func Example() {
	ctx, leave := context.WithTimeout(context.Background(), time.Minute)
	defer leave()
	client, err := consul.Client("http://127.0.0.1:8500", "")
	if err != nil {
		log.Fatal(err)
	}
	// Be found: register, beat, and leave in order when ctx ends.
	self := registry.New(client, registry.Registration{Service: "mine", ID: "mine-1", Addr: "127.0.0.1:9000"}, nil, nil)
	go self.Run(ctx)

	// Call: one endpoint over all instances of "catalog".
	m := mesh.New(mesh.Options{Consul: client})
	defer m.Close()
	get := m.Target("catalog").Endpoint("catalog.Check", func(conn grpc.ClientConnInterface) endpoint.Endpoint {
		return func(ctx context.Context, _ any) (any, error) {
			return health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{})
		}
	})
	answer, err := get(ctx, nil)
	fmt.Println(answer, err)
}
