// Package rpc serves and calls endpoints over gRPC.
package rpc

import (
	"context"
	"fmt"

	"github.com/go-kit/kit/endpoint"
	kitgrpc "github.com/go-kit/kit/transport/grpc"
	"google.golang.org/grpc"
)

// Unary adapts an endpoint to the signature of a generated gRPC method. Faults
// of the endpoint travel as a status that Remote turns back into the same
// fault. With options kit's transport/grpc server is underneath; without, the
// endpoint is called directly: that server copies the metadata of every call
// for options to read (docs/adr/0013).
func Unary[PReq, PResp, Req, Resp any](
	e endpoint.Endpoint, in func(PReq) Req, out func(Resp) PResp, opts ...kitgrpc.ServerOption,
) func(context.Context, PReq) (PResp, error) {
	serve := direct(e, in, out)
	if len(opts) > 0 {
		serve = plugged(e, in, out, opts)
	}
	return func(ctx context.Context, r PReq) (PResp, error) {
		resp, err := serve(ctx, r)
		return resp, Status(err)
	}
}

func direct[PReq, PResp, Req, Resp any](
	e endpoint.Endpoint, in func(PReq) Req, out func(Resp) PResp,
) func(context.Context, PReq) (PResp, error) {
	return func(ctx context.Context, r PReq) (PResp, error) {
		var none PResp
		response, err := e(ctx, in(r))
		if err != nil {
			return none, err
		}
		resp, err := typed[Resp](response)
		if err != nil {
			return none, err
		}
		return out(resp), nil
	}
}

func plugged[PReq, PResp, Req, Resp any](
	e endpoint.Endpoint, in func(PReq) Req, out func(Resp) PResp, opts []kitgrpc.ServerOption,
) func(context.Context, PReq) (PResp, error) {
	decode := func(_ context.Context, r any) (any, error) { return in(r.(PReq)), nil }
	encode := func(_ context.Context, r any) (any, error) {
		resp, err := typed[Resp](r)
		if err != nil {
			return nil, err
		}
		return out(resp), nil
	}
	s := kitgrpc.NewServer(e, decode, encode, opts...)
	return func(ctx context.Context, r PReq) (PResp, error) {
		_, resp, err := s.ServeGRPC(ctx, r)
		if err != nil {
			var none PResp
			return none, err
		}
		return resp.(PResp), nil
	}
}

func typed[Resp any](response any) (Resp, error) {
	resp, ok := response.(Resp)
	if !ok {
		return resp, fmt.Errorf("rpc: response is %T, want %T", response, resp)
	}
	return resp, nil
}

// Remote is the mirror of Unary at the client: a generated stub as an
// endpoint. Every error it returns is a fault. The stub is called directly:
// kit's transport/grpc client replaces the outgoing metadata of the context,
// and trace and identity travel there.
func Remote[PReq, PResp, Req, Resp any](
	call func(context.Context, PReq, ...grpc.CallOption) (PResp, error), in func(Req) PReq, out func(PResp) Resp,
) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		req, ok := request.(Req)
		if !ok {
			return nil, fmt.Errorf("rpc: request is %T, want %T", request, *new(Req))
		}
		reply, err := call(ctx, in(req))
		if err != nil {
			return nil, Fault(err)
		}
		return out(reply), nil
	}
}

// A Dialer makes the endpoint of the named method, such as "catalog.Get"; dial
// makes that endpoint on one connection and is cheap. The mesh calls it once
// per instance and balances, Direct once.
type Dialer func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint

// Direct returns a Dialer that calls over one connection, without balancing.
func Direct(conn grpc.ClientConnInterface) Dialer {
	return func(_ string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		return dial(conn)
	}
}
