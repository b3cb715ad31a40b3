package orders

import "context"

// Journal keeps one event stream per order; the last event is the order's
// state. Append fails with fault.Conflict when the order's last event, of any
// kind, is not after (0: none), Last with fault.NotFound when there is none.
// Consume gives each event of some kinds to one of the instances, at least once,
// until ctx ends. Scan finds the orders with an event of the kind in [from, to),
// in order; Tail is the sequence of the journal's last event.
type Journal interface {
	Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error)
	Last(ctx context.Context, key string) (event []byte, seq uint64, err error)
	Tail(ctx context.Context) (seq uint64, err error)
	Scan(ctx context.Context, kind string, from, to uint64, handle func(key string, seq uint64)) error
	Consume(ctx context.Context, name string, kinds []string, handle func(ctx context.Context, key string, seq uint64, event []byte) error) error
}

// Inventory holds, ships and puts back the goods of an order. All methods are
// idempotent by order; Reserve fails with fault.Conflict when something is sold
// out or the order was released before.
type Inventory interface {
	Reserve(ctx context.Context, orderID string, lines []Line) error
	Commit(ctx context.Context, orderID string, lines []Line) error
	Release(ctx context.Context, orderID string, lines []Line) error
}

// Payments moves the money of an order. All methods are idempotent by order;
// Authorise fails with fault.Declined for good.
type Payments interface {
	Authorise(ctx context.Context, orderID string, amount Money) error
	Capture(ctx context.Context, orderID string) error
	Void(ctx context.Context, orderID string) error
}

// Shipping prices and books deliveries. Dispatch and Cancel are idempotent by
// order.
type Shipping interface {
	Quote(ctx context.Context, lines []Line) (Money, error)
	Dispatch(ctx context.Context, orderID string, lines []Line) error
	Cancel(ctx context.Context, orderID string) error
}

// Pricing knows what the goods cost. It fails with fault.NotFound for an
// unknown SKU.
type Pricing interface {
	Value(ctx context.Context, lines []Line) (Money, error)
}

// Ports are the services a saga runs over.
type Ports struct {
	Inventory Inventory
	Payments  Payments
	Shipping  Shipping
	Pricing   Pricing
}
