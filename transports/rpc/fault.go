package rpc

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/internal/foreign"
)

// statusCodes gives every fault the code that foreign clients and proxies
// understand; our own read the exact one from the status's details.
var statusCodes = map[fault.Code]codes.Code{
	fault.Invalid:          codes.InvalidArgument,
	fault.NotFound:         codes.NotFound,
	fault.Conflict:         codes.FailedPrecondition,
	fault.KeyReused:        codes.AlreadyExists,
	fault.Declined:         codes.FailedPrecondition,
	fault.Denied:           codes.PermissionDenied,
	fault.Limited:          codes.ResourceExhausted,
	fault.Overloaded:       codes.ResourceExhausted,
	fault.Unavailable:      codes.Unavailable,
	fault.Deadline:         codes.DeadlineExceeded,
	fault.Canceled:         codes.Canceled,
	fault.MethodNotAllowed: codes.Unimplemented,
	fault.TooLarge:         codes.OutOfRange,
	fault.UnsupportedMedia: codes.InvalidArgument,
	fault.Internal:         codes.Internal,
}

// Status returns err as a gRPC status error: the nearest gRPC code, the
// message a caller may see, and as details the exact fault code and the
// earliest retry. The cause stays here.
func Status(err error) error {
	if err == nil {
		return nil
	}
	err = foreign.Fault(err)
	code := fault.CodeOf(err)
	// A status with invalid UTF-8 cannot be marshalled and would lose its details.
	s := status.New(statusCodes[code], strings.ToValidUTF8(fault.MessageOf(err), "\uFFFD"))
	info := &errdetails.ErrorInfo{Reason: string(code), Domain: foreign.Domain}
	if origin := fault.OriginOf(err); origin != "" {
		info.Metadata = map[string]string{foreign.Origin: origin}
	}
	details := []protoadapt.MessageV1{info}
	if after := fault.RetryAfterOf(err); after > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	if detailed, derr := s.WithDetails(details...); derr == nil {
		s = detailed
	}
	return s.Err()
}

// Fault is the inverse of Status: the fault that the called service answered
// with, which keeps err as its cause. An error that no service of ours made,
// such as a refused connection, gets the fault its gRPC code suggests and a
// message without addresses.
func Fault(err error) error { return foreign.Fault(err) }
