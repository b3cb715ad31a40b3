package shipping

import "context"

// Journal keeps one event stream per order; the last event is the shipment's
// state. Append fails with fault.Conflict when the order's last event is not
// after (0: none), Last with fault.NotFound when there is none.
type Journal interface {
	Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, key string) (event []byte, seq uint64, err error)
}

// Orders delivers each event of some kinds to one of the instances, at least
// once, until ctx ends. An event whose handler failed comes again.
type Orders interface {
	Consume(ctx context.Context, name string, kinds []string, handle func(ctx context.Context, key string, seq uint64, event []byte) error) error
}
