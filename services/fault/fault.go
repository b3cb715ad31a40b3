// Package fault gives every failure a Code that transports and middleware can
// act on. It is the only vocabulary the layers share.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classifies a failure by what the caller can do about it.
type Code string

// The codes, each with what the caller can do.
const (
	Invalid          Code = "invalid"                // fix the request
	NotFound         Code = "not_found"              // nothing there
	Conflict         Code = "conflict"               // the state forbids it
	KeyReused        Code = "key_reused"             // the idempotency key belongs to another request
	Declined         Code = "declined"               // the payment was refused
	Denied           Code = "denied"                 // the caller may not do this
	Limited          Code = "limited"                // the caller is over its rate; slow down
	Overloaded       Code = "overloaded"             // the instance sheds load; come back later
	Unavailable      Code = "unavailable"            // nobody there; another instance may answer
	Deadline         Code = "deadline_exceeded"      // the time ran out; the outcome is unknown
	Canceled         Code = "canceled"               // the caller left
	MethodNotAllowed Code = "method_not_allowed"     // another HTTP method
	TooLarge         Code = "too_large"              // a smaller body
	UnsupportedMedia Code = "unsupported_media_type" // another content type
	Internal         Code = "internal"               // our bug
)

// Codes lists every code, so that tables keyed by Code can be tested for gaps.
func Codes() []Code {
	return []Code{
		Invalid, NotFound, Conflict, KeyReused, Declined, Denied, Limited, Overloaded, Unavailable,
		Deadline, Canceled, MethodNotAllowed, TooLarge, UnsupportedMedia, Internal,
	}
}

// Error is a failure whose Message is safe to show to a caller.
type Error struct {
	Code       Code
	Message    string        // a sentence that helps the caller
	RetryAfter time.Duration // earliest sensible retry; 0 says nothing
	Origin     string        // the called service that failed; "" when it is whoever answers
	Cause      error         // for the log only; never leaves the process
}

// Error returns the code and the message, and the cause where there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s (%v)", e.Code, e.Message, e.Cause)
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an Error with a formatted message.
func New(c Code, format string, args ...any) error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error that keeps cause for errors.Is, errors.As and the log.
func Wrap(c Code, cause error, format string, args ...any) error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// CodeOf returns the code of the outermost Error in err's chain. Context errors
// count as Deadline and Canceled, anything else as Internal, nil as "".
func CodeOf(err error) Code {
	if err == nil {
		return "" // most calls end here; errors.As would cost them an allocation
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// MessageOf returns the text a caller may see. Errors without a code are
// hidden: their detail belongs in the log.
func MessageOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	switch CodeOf(err) {
	case Deadline:
		return "the deadline passed before the answer was ready"
	case Canceled:
		return "the caller gave up"
	}
	return "an internal error; the trace and the log have the detail"
}

// RetryAfterOf returns how long err asks the caller to wait, 0 if it does not.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// Retryable reports whether another instance might succeed where this one
// failed. A shed or limited call is not: repeating it multiplies the overload.
func Retryable(err error) bool {
	switch CodeOf(err) {
	case Unavailable, Internal:
		return true
	}
	return false
}

// From returns err marked as the failure of a called service, so that callers
// further up do not hold it against the instance that merely passed it on. A
// mark that is there already stays: the deepest service is the origin.
func From(service string, err error) error {
	if err == nil || OriginOf(err) != "" {
		return err
	}
	return &Error{Code: CodeOf(err), Message: MessageOf(err), RetryAfter: RetryAfterOf(err), Origin: service, Cause: err}
}

// OriginOf returns the service that err is the failure of, "" when it is the
// answering instance's own.
func OriginOf(err error) string {
	for e, ok := errors.AsType[*Error](err); ok; e, ok = errors.AsType[*Error](e.Cause) {
		if e.Origin != "" {
			return e.Origin
		}
	}
	return ""
}

// Failure reports whether err is a failure of the mesh, not the caller's
// mistake, cancellation or limit.
func Failure(err error) bool {
	switch CodeOf(err) {
	case Unavailable, Internal, Deadline:
		return true
	}
	return false
}

// Blames reports whether err is the answering instance's own failure, the only
// kind that breakers and ejection count: an instance that is well and passes on
// the failure of another service must not be taken out for it.
func Blames(err error) bool { return Failure(err) && OriginOf(err) == "" }
