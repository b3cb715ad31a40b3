package target

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/services/fault"
)

// WithClientConn adapts a dial function for code that wants the connection's
// concrete type, as kit's transport/grpc.NewClient does, to what Endpoint takes.
func WithClientConn(dial func(*grpc.ClientConn) endpoint.Endpoint) func(grpc.ClientConnInterface) endpoint.Endpoint {
	return func(conn grpc.ClientConnInterface) endpoint.Endpoint {
		switch conn := conn.(type) {
		case *grpc.ClientConn:
			return dial(conn)
		case *link:
			cc, err := conn.dial() // made, not connected: it does not wait
			if err == nil {
				return dial(cc)
			}
			return failing(err)
		}
		return failing(fault.New(fault.Internal, "a %T is no gRPC connection", conn))
	}
}

func failing(err error) endpoint.Endpoint {
	return func(context.Context, any) (any, error) { return nil, err }
}
