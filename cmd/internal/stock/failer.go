package stock

import (
	"context"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// failure is a business error inside a response, the way of addsvc's
// SumResponse: breakers and Retry take every error of an endpoint for a broken
// instance, so "sold out" must not be one.
type failure struct{ err error }

// Failed implements endpoint.Failer.
func (f failure) Failed() error { return f.err }

var _ endpoint.Failer = failure{}

// answered hides business errors of e from what is put around it.
func answered(e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := e(ctx, request)
		if err != nil && business(err) {
			return failure{err}, nil
		}
		return response, err
	}
}

// unanswered takes them out again.
func unanswered(e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := e(ctx, request)
		if f, ok := response.(endpoint.Failer); ok && err == nil && f.Failed() != nil {
			return nil, f.Failed()
		}
		return response, err
	}
}

// business reports whether err is an answer of the service, not trouble on the
// way to it.
func business(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.KeyReused, fault.Declined, fault.Denied,
		fault.MethodNotAllowed, fault.TooLarge, fault.UnsupportedMedia:
		return true
	}
	return false
}
