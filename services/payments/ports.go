package payments

import "context"

// Journal keeps one event stream per order; the last event is the payment's
// state. Append fails with fault.Conflict when the order's last event is not
// after (0: none), Last with fault.NotFound when there is none.
type Journal interface {
	Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, key string) (event []byte, seq uint64, err error)
}

// Provider moves the money. Each call has one effect per key, however often it
// is repeated; Authorise fails with fault.Declined for good, Capture and Void
// with fault.Conflict when the other one came first.
type Provider interface {
	Authorise(ctx context.Context, key string, amount int64, currency string) (reference string, err error)
	Capture(ctx context.Context, key, reference string) error
	Void(ctx context.Context, key, reference string) error
}
