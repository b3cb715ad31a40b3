package inventory

import "context"

// Journal keeps one event stream per SKU. Append fails with fault.Conflict when
// the SKU's last event is not after (0: none), Last with fault.NotFound when
// there is none. Follow calls handle for every event in order, old ones first,
// until ctx ends. Tail is the sequence of the journal's last event.
type Journal interface {
	Append(ctx context.Context, key string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, key string) (event []byte, seq uint64, err error)
	Follow(ctx context.Context, handle func(key string, seq uint64, event []byte)) error
	Tail(ctx context.Context) (seq uint64, err error)
}
