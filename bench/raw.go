package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
)

// newRaw is gRPC as it comes, with the round robin that it brings.
func newRaw(f *fleet, name string) (contender, error) {
	return rawTo(f.addrs(plain), name)
}

func rawTo(addrs []string, name string, options ...grpc.DialOption) (contender, error) {
	to := manual.NewBuilderWithScheme("bench")
	state := resolver.State{}
	for _, addr := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	to.InitialState(state)
	conn, err := grpc.NewClient("bench:///"+service, append(options,
		grpc.WithResolvers(to),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`))...)
	if err != nil {
		return contender{}, err
	}
	return contender{
		name: name, what: "raw gRPC, round robin",
		call: stub(conn),
		stop: func() { _ = conn.Close() },
	}, nil
}

// rawAgain is raw gRPC compared with itself: what measuring adds.
func rawAgain(f *fleet, name string) (contender, error) {
	c, err := newRaw(f, name)
	c.what = "raw gRPC against itself"
	return c, err
}

// rawWindows is raw gRPC with the fixed windows that kitmesh sets at its end: how
// much of kitmesh's time is the windows' merit, and how much its own.
func rawWindows(f *fleet, name string) (contender, error) {
	c, err := rawTo(f.addrs(plain), name, grpc.WithStaticStreamWindowSize(1<<20), grpc.WithStaticConnWindowSize(4<<20))
	c.what = "raw gRPC with kitmesh's windows"
	return c, err
}

// stub calls through the generated client.
func stub(conn grpc.ClientConnInterface) op {
	client := catalogpb.NewCatalogClient(conn)
	return func(ctx context.Context) (string, error) {
		p, err := client.Get(ctx, &catalogpb.GetRequest{Sku: sku})
		return p.GetSku(), err
	}
}
