package middleware

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Log writes one line for each request: at warn if the service is to blame for
// the failure, else at debug, so that a caller's mistakes cannot flood the log.
// The trace id comes from the logger's handler (telemetry.NewLogger), which
// reads it from ctx. A nil logger writes nothing.
func Log(logger *slog.Logger, method string) endpoint.Middleware {
	if logger == nil {
		return through
	}
	logger = logger.With(slog.String("method", method))
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			begin := clock()
			response, err := next(ctx, request)
			level := slog.LevelDebug
			if fault.Failure(err) {
				level = slog.LevelWarn
			}
			if logger.Enabled(ctx, level) {
				logger.LogAttrs(ctx, level, "request", attrs(err, clock()-begin)...)
			}
			return response, err
		}
	}
}

func attrs(err error, took time.Duration) []slog.Attr {
	a := []slog.Attr{slog.String("code", codeOK), slog.Duration("took", took)}
	if err == nil {
		return a
	}
	a[0] = slog.String("code", string(fault.CodeOf(err)))
	a = append(a, slog.String("error", err.Error()))
	if p, ok := errors.AsType[*PanicError](err); ok {
		a = append(a, slog.String("stack", string(p.Stack)))
	}
	return a
}
