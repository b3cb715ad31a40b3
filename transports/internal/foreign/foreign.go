// Package foreign gives the failures of the libraries we stand on the code
// they deserve, so that a transport never answers "internal" for a limit, an
// open breaker or a status of gRPC.
package foreign

import (
	"context"
	"errors"
	"slices"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kit/kit/ratelimit"
	"github.com/sony/gobreaker"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Domain marks the statuses that carry one of our codes in their details.
const Domain = "kitmesh"

// Origin is the key of fault.Error's Origin in the metadata of that detail.
const Origin = "origin"

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
	// status.FromError would make the text of the wrappers the message.
	var answered interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &answered) || answered.GRPCStatus().Code() == codes.OK {
		return err
	}
	if f := ours(answered.GRPCStatus()); f != nil {
		f.Cause = err
		return f
	}
	return theirs(answered.GRPCStatus().Code(), err)
}

// ours returns the fault that a service of ours put into a status, nil when
// there is none, or one that this version does not know.
func ours(s *status.Status) *fault.Error {
	f := fault.Error{Message: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain && slices.Contains(fault.Codes(), fault.Code(d.GetReason())) {
				f.Code = fault.Code(d.GetReason())
				f.Origin = d.GetMetadata()[Origin]
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = max(d.GetRetryDelay().AsDuration(), 0)
		}
	}
	if f.Code == "" {
		return nil
	}
	return &f
}

// theirs returns the fault behind a status that nobody of ours made, such as a
// refused connection. Its text is for the log only: it names addresses.
func theirs(code codes.Code, cause error) error {
	switch code {
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
