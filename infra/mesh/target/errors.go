package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/services/fault"
)

// ErrNotSent marks failures of calls that provably never reached an instance:
// repeating them is always safe. Refused connections and gRPC's and net's own
// dial errors need no mark.
var ErrNotSent = errors.New("not sent")

// Error is the failure of a call: how many tries it took, where they went, and
// why there was no further one. Unwrap gives the last try's own error, so its
// fault code, message and Retry-After stay the call's.
type Error struct {
	Service   string
	Method    string
	Tries     int
	Instances []string // tried, in order
	Why       string   // no further try was made
	Last      error
}

// Error says all of it, for the log.
func (e *Error) Error() string {
	tries := "1 try"
	if e.Tries != 1 {
		tries = fmt.Sprintf("%d tries", e.Tries)
	}
	return fmt.Sprintf("%s: %s (%s), %s: %v", e.Method, tries, strings.Join(e.Instances, ", "), e.Why, e.Last)
}

// Unwrap returns the last try's error.
func (e *Error) Unwrap() error { return e.Last }

// notSentError marks an error as ErrNotSent.
type notSentError struct{ error }

func (e notSentError) Is(target error) bool { return target == ErrNotSent }
func (e notSentError) Unwrap() error        { return e.error }

// notSent reports whether the call provably never reached the instance.
func notSent(err error) bool {
	if errors.Is(err, ErrNotSent) || errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	// gRPC tells dial errors apart by their text only.
	s, ok := grpcStatus(err)
	return ok && s.Code() == codes.Unavailable && strings.Contains(s.Message(), "Error while dialing")
}

func grpcStatus(err error) (*status.Status, bool) {
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s.GRPCStatus(), true
	}
	return nil, false
}

// grpcFaults reads plain gRPC errors, from endpoints that do not translate them.
var grpcFaults = map[codes.Code]fault.Code{
	codes.InvalidArgument: fault.Invalid, codes.OutOfRange: fault.Invalid, codes.NotFound: fault.NotFound,
	codes.AlreadyExists: fault.Conflict, codes.FailedPrecondition: fault.Conflict, codes.Aborted: fault.Conflict,
	codes.PermissionDenied: fault.Denied, codes.Unauthenticated: fault.Denied, codes.Unimplemented: fault.NotFound,
	codes.ResourceExhausted: fault.Limited, codes.Unavailable: fault.Unavailable,
	codes.DeadlineExceeded: fault.Deadline, codes.Canceled: fault.Canceled,
}

// classify gives err a fault code if it has none, and corrects two that mislead:
// a try's own time limit and a cancellation that is not the caller's both mean
// that this instance did not answer, not that the caller is out of time or gone.
func classify(ctx context.Context, f *flight, err error) error {
	service, instance := f.Peer.Service, f.Peer.Instance
	if _, ok := errors.AsType[*fault.Error](err); !ok {
		if s, ok := grpcStatus(err); ok {
			code, known := grpcFaults[s.Code()]
			if !known {
				code = fault.Internal
			}
			err = fault.Wrap(code, err, "%s: %s", service, s.Message())
		}
	}
	code := fault.CodeOf(err)
	if ctx.Err() != nil || code != fault.Canceled && code != fault.Deadline {
		return err
	}
	if cause := ends[f.why.Load()]; cause != nil {
		return fault.Wrap(fault.Unavailable, detached(err), "%s did not answer: %s", instance, fault.MessageOf(cause))
	}
	if code == fault.Canceled {
		return fault.Wrap(fault.Unavailable, detached(err), "the connection to %s closed", instance)
	}
	return err
}

// detached keeps the text of err and drops its identity: fault.CodeOf reads the
// outermost code, but errors.Is(err, context.Canceled) must not be true when the
// caller did not cancel.
func detached(err error) error { return errors.New(err.Error()) }
