package middleware

import (
	"context"
	"time"

	"github.com/go-kit/kit/endpoint"
	"golang.org/x/time/rate"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Limit admits rps requests per second, and burst at once, over all endpoints
// that the one middleware wraps. The rest get fault.Limited, which says when
// the next one fits. An rps of 0 or less limits nothing.
func Limit(rps float64, burst int) endpoint.Middleware {
	if rps <= 0 {
		return through
	}
	bucket := rate.NewLimiter(rate.Limit(rps), max(burst, 1))
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			now := time.Now()
			if !bucket.AllowN(now, 1) {
				// Reading the level instead of reserving: a reservation would
				// take the token that the next caller could have had.
				missing := max(1-bucket.TokensAt(now), 0)
				return nil, &fault.Error{
					Code:       fault.Limited,
					Message:    "too many requests; slow down",
					RetryAfter: max(time.Duration(missing/rps*float64(time.Second)), time.Millisecond),
				}
			}
			return next(ctx, request)
		}
	}
}
