package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Codes of a lost compare-and-set: replicated streams answer the second.
const (
	codeWrongSequence   jetstream.ErrorCode = 10071
	codeWrongSequenceR3 jetstream.ErrorCode = 10164
)

// withRetries calls try, each time with its own short deadline, until it
// succeeds, fails for good or ctx ends. The error is then a fault.
func (c *Client) withRetries(ctx context.Context, try func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	var last error
	for {
		if ctx.Err() != nil {
			return away(ctx, last)
		}
		t, cancel := context.WithTimeout(ctx, tryTimeout)
		err := try(t)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		last = err
		pause(ctx, retryWait+rand.N(retryWait))
	}
}

// away is the fault of a call that ended without the broker's answer.
func away(ctx context.Context, last error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fault.Wrap(fault.Canceled, ctx.Err(), "the caller left before the broker answered")
	}
	if last == nil {
		last = ctx.Err()
	}
	return unavailable(last, "the broker did not answer in time")
}

// passing reports whether err may be gone at the next try: everything but the
// server's own verdicts and our faults.
func passing(err error) bool {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return false
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		// 503: no leader yet, JetStream still recovering or out of resources.
		return api.Code == 503 || api.Code == 500 || api.ErrorCode == jetstream.JSErrCodeStreamNotFound
	}
	return !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrMaxPayload)
}

// asFault gives an error of the client library its code.
func asFault(err error) error {
	var f *fault.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case conflicts(err):
		return fault.Wrap(fault.Conflict, err, "somebody else wrote first")
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fault.Wrap(fault.NotFound, err, "no event has this key")
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Wrap(fault.TooLarge, err, "the event is larger than the broker takes")
	case errors.Is(err, nats.ErrConnectionClosed):
		return unavailable(err, "the connection to the broker is closed")
	}
	return unavailable(err, "the broker refused")
}

// unavailable is the broker's failure and nobody else's: without its origin the
// callers' breakers would open for every instance that is cut off from it.
func unavailable(cause error, sentence string) error {
	return fault.From(remote.ServiceName, fault.Wrap(fault.Unavailable, cause, "%s", sentence))
}

func conflicts(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeWrongSequence || api.ErrorCode == codeWrongSequenceR3)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
