package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"

	mesh "github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consul"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// A go-kit user's own service joins the mesh and calls another one.
func Example() {
	ctx, leave := context.WithTimeout(context.Background(), time.Minute)
	defer leave()
	fmt.Println(joinAndCall(ctx, "http://127.0.0.1:8500", "catalog"))
}

func joinAndCall(ctx context.Context, consulURL, service string) (err error) {
	client, noClient := consul.Client(consulURL, "")
	listener, noPort := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(noClient, noPort); err != nil {
		return err
	}
	server := grpc.NewServer(target.ServerOptions()...)
	pb.RegisterHealthServer(server, health.NewServer()) // here goes your own service
	go server.Serve(listener)
	defer server.Stop()

	// Be found: register, beat, and leave in order when the context ends.
	me := registry.New(client, registry.Registration{Service: "mine", ID: "mine-1", Addr: listener.Addr().String()}, nil, nil)
	ctx, leave := context.WithCancel(ctx)
	left := make(chan error)
	go func() { left <- me.Run(ctx) }()
	defer func() { leave(); err = errors.Join(err, <-left) }()

	// Call: one endpoint over all instances, balanced, broken and retried.
	m := mesh.New(mesh.Options{Consul: client})
	defer m.Close()
	check := m.Target(service).Endpoint("catalog.Check", func(conn grpc.ClientConnInterface) endpoint.Endpoint {
		return func(ctx context.Context, _ any) (any, error) {
			return pb.NewHealthClient(conn).Check(ctx, &pb.HealthCheckRequest{})
		}
	})
	_, err = check(ctx, nil)
	return err
}
