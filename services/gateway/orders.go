package gateway

import (
	"context"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Bounds of an order. Orders has the same; the gateway refuses early, so that
// nothing malformed travels further.
const (
	MaxLines     = 100
	MaxQuantity  = 1000
	MaxKeyLength = 128
)

// The statuses of an order in the customer's words.
const (
	StatusConfirmed = "confirmed" // paid, and the parcel may leave
	StatusPending   = "pending"   // on its way; ask again
	StatusCancelled = "cancelled" // undone, nothing was charged
	StatusFailed    = "failed"    // stuck; a person looks at it
)

// PlaceOrder hands a well-formed order to orders, once per Key. An order that
// needs longer than the request comes back as pending.
func (g *gateway) PlaceOrder(ctx context.Context, req PlaceOrderRequest) (Order, error) {
	if err := validateKey(req.Key); err != nil {
		return Order{}, err
	}
	if err := validateLines(req.Lines); err != nil {
		return Order{}, err
	}
	order, err := guard(ctx, "orders", g.options.OrdersTimeout, func(ctx context.Context) (Order, error) {
		return g.ports.Orders.Place(ctx, req)
	})
	if fault.CodeOf(err) == fault.Deadline {
		return Order{}, fault.Wrap(fault.Deadline, err, "the order was not settled in time; repeat the request with the same Idempotency-Key to learn what became of it")
	}
	if err != nil {
		return Order{}, err
	}
	return forCustomer(order), nil
}

// GetOrder returns the order as it stands.
func (g *gateway) GetOrder(ctx context.Context, req GetOrderRequest) (Order, error) {
	if req.ID == "" {
		return Order{}, fault.New(fault.Invalid, "the order's id is empty; ask for /v1/orders/{id}")
	}
	order, err := guard(ctx, "orders", g.options.OrdersTimeout, func(ctx context.Context) (Order, error) {
		return g.ports.Orders.Order(ctx, req.ID)
	})
	if err != nil {
		return Order{}, err
	}
	return forCustomer(order), nil
}

// forCustomer translates the saga's status. A step this version does not know
// comes from a newer orders and is pending, as every step but the last is.
func forCustomer(order Order) Order {
	switch order.Status {
	case StatusConfirmed, StatusCancelled, StatusFailed: // final, and the same words
	default:
		order.Status = StatusPending
	}
	if order.Lines == nil {
		order.Lines = []Line{} // JSON shows [], not null
	}
	return order
}

func validateKey(key string) error {
	if key == "" {
		return fault.New(fault.Invalid, "the header Idempotency-Key is missing; send a fresh one for each order and the same one when you repeat it")
	}
	if len(key) > MaxKeyLength {
		return fault.New(fault.Invalid, "the Idempotency-Key has %d characters; use at most %d", len(key), MaxKeyLength)
	}
	for _, b := range []byte(key) {
		if b < ' ' || b > '~' {
			return fault.New(fault.Invalid, "the Idempotency-Key contains %q; use printable ASCII only", b)
		}
	}
	return nil
}

func validateLines(lines []Line) error {
	if len(lines) < 1 || len(lines) > MaxLines {
		return fault.New(fault.Invalid, "an order has 1 to %d lines, this one has %d", MaxLines, len(lines))
	}
	first := make(map[string]int, len(lines))
	for i, line := range lines {
		if line.SKU == "" {
			return fault.New(fault.Invalid, "line %d: the SKU is empty", i+1)
		}
		if line.Quantity < 1 || line.Quantity > MaxQuantity {
			return fault.New(fault.Invalid, "line %d: the quantity is %d; use 1 to %d", i+1, line.Quantity, MaxQuantity)
		}
		if before, twice := first[line.SKU]; twice {
			return fault.New(fault.Invalid, "lines %d and %d are both %.64q; put all units on one line", before, i+1, line.SKU)
		}
		first[line.SKU] = i + 1
	}
	return nil
}
