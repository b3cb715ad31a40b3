package middleware

import (
	"context"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Deadline gives calls at most d: it replaces a missing or a later deadline. A
// call whose time is up already does not begin. The endpoint has to watch ctx;
// one that does not is waited for. A d of 0 or less keeps the caller's.
func Deadline(d time.Duration) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if err := ctx.Err(); err != nil {
				return nil, left(err, "before the call began")
			}
			if d <= 0 {
				return next(ctx, request)
			}
			if at, ok := ctx.Deadline(); ok && time.Until(at) <= d {
				return next(ctx, request)
			}
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return next(ctx, request)
		}
	}
}

// left makes a fault of a context's error.
func left(err error, when string) error {
	if fault.CodeOf(err) == fault.Canceled {
		return fault.Wrap(fault.Canceled, err, "the caller gave up %s", when)
	}
	return fault.Wrap(fault.Deadline, err, "the deadline passed %s", when)
}
