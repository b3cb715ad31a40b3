package middleware

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// PanicError is the cause of the fault that Recover makes of a panic. Log
// writes its stack.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the value of the panic.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Recover turns a panic into fault.Internal, so that one bad request cannot
// end the process. It must run in the goroutine that panics: what starts
// goroutines of its own (hystrix) needs its own.
func Recover(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (response any, err error) {
		defer func() {
			if v := recover(); v != nil {
				response = nil
				err = fault.Wrap(fault.Internal, &PanicError{Value: v, Stack: debug.Stack()},
					"an internal error; the trace and the log have the detail")
			}
		}()
		return next(ctx, request)
	}
}
