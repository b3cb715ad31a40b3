package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Slice converts every element of in. A nil slice becomes an empty one:
// protobuf cannot tell them apart, and JSON should say [] rather than null.
func Slice[A, B any](in []A, convert func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = convert(v)
	}
	return out
}

// TimeToPB converts t; the zero time becomes nil.
func TimeToPB(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// TimeFromPB is the inverse of TimeToPB; the result is in UTC.
func TimeFromPB(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
