package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// guard makes one call to a dependency: it gives it at most timeout, turns a
// panic into fault.Internal (a panic in a goroutine of the fan-out would end
// the process, out of reach of the middleware that recovers requests), and
// names the dependency in the error, which keeps its code.
func guard[T any](ctx context.Context, name string, timeout time.Duration, call func(context.Context) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			cause := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			err = fault.Wrap(fault.Internal, cause, "the call to %s failed on our side; please report the trace id", name)
		}
	}()
	answer, err = call(ctx)
	if err != nil {
		return answer, fmt.Errorf("%s: %w", name, err)
	}
	return answer, nil
}
