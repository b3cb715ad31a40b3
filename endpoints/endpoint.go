// Package endpoints adapts typed service methods to go-kit endpoints and back.
// It is the only place that asserts the type of a request or a response.
package endpoints

import (
	"context"
	"fmt"

	"github.com/go-kit/kit/endpoint"
)

// Method is the shape of every service method.
type Method[Req, Resp any] func(context.Context, Req) (Resp, error)

// Wrapper decorates the endpoint of the named method, such as "catalog.Get".
type Wrapper func(method string, e endpoint.Endpoint) endpoint.Endpoint

// Make turns a service method into a go-kit endpoint.
func Make[Req, Resp any](m Method[Req, Resp]) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		req, ok := request.(Req)
		if !ok {
			return nil, fmt.Errorf("endpoint: request is %T, want %T", request, *new(Req))
		}
		return m(ctx, req)
	}
}

// Call is the inverse of Make: it invokes e and types the response.
func Call[Resp any](ctx context.Context, e endpoint.Endpoint, request any) (Resp, error) {
	var zero Resp
	response, err := e(ctx, request)
	if err != nil {
		return zero, err
	}
	resp, ok := response.(Resp)
	if !ok {
		return zero, fmt.Errorf("endpoint: response is %T, want %T", response, zero)
	}
	return resp, nil
}
