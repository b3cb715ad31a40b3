// Package foreign gives the failures of the libraries we stand on the code
// they deserve, so that a transport never answers "internal" for a limit, an
// open breaker or a status of gRPC.
package foreign

import (
	"context"
	"errors"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kit/kit/ratelimit"
	"github.com/sony/gobreaker"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Fault returns err as it is when it carries a code already (a fault or a
// context error), a fault that wraps it when a library we know made it, and
// err itself otherwise.
func Fault(err error) error {
	var coded *fault.Error
	switch {
	case err == nil, errors.As(err, &coded),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ratelimit.ErrLimited), errors.Is(err, hystrix.ErrMaxConcurrency):
		return fault.Wrap(fault.Limited, err, "the rate limit is reached; slow down")
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests),
		errors.Is(err, hystrix.ErrCircuitOpen):
		return fault.Wrap(fault.Unavailable, err, "the circuit breaker is open; try again shortly")
	case errors.Is(err, hystrix.ErrTimeout):
		return fault.Wrap(fault.Deadline, err, "the deadline passed before the answer was ready")
	}
	if s, ok := status.FromError(err); ok {
		return FromStatus(s, err)
	}
	return err
}

// FromStatus returns the fault behind a status that nobody of ours made, such
// as a refused connection. Its text is for the log only: it names addresses.
func FromStatus(s *status.Status, cause error) error {
	switch s.Code() {
	case codes.OK:
		return nil
	case codes.Canceled:
		return fault.Wrap(fault.Canceled, cause, "the caller gave up")
	case codes.DeadlineExceeded:
		return fault.Wrap(fault.Deadline, cause, "the deadline passed before the answer was ready")
	case codes.Unavailable:
		return fault.Wrap(fault.Unavailable, cause, "the called service cannot be reached; try again shortly")
	case codes.ResourceExhausted:
		return fault.Wrap(fault.Limited, cause, "the called service is at its limit; slow down")
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Wrap(fault.Invalid, cause, "the called service refused the request as malformed")
	case codes.NotFound:
		return fault.Wrap(fault.NotFound, cause, "the called service found nothing there")
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return fault.Wrap(fault.Conflict, cause, "the state of the called service forbids the request")
	case codes.PermissionDenied, codes.Unauthenticated:
		return fault.Wrap(fault.Denied, cause, "the called service does not admit this caller")
	}
	return fault.Wrap(fault.Internal, cause, "the called service failed; the trace and the log have the detail")
}
