// Package shipping estimates and books deliveries.
package shipping

import (
	"context"
	"time"
)

// Service is the contract of shipping. Dispatch and Cancel are idempotent by
// OrderID.
type Service interface {
	// Quote estimates the cost and the time of a delivery. It asks pricing for
	// the value of the goods: dear baskets travel free.
	Quote(context.Context, QuoteRequest) (Quote, error)
	// Dispatch books the delivery of an order. It fails with fault.Conflict
	// when the booking was cancelled.
	Dispatch(context.Context, DispatchRequest) (Shipment, error)
	// Cancel undoes a booking; cancelling nothing succeeds, and a late Dispatch
	// then fails. It fails with fault.Conflict once the parcel has left.
	Cancel(context.Context, CancelRequest) (Shipment, error)
}

// Status tells where a shipment is.
type Status string

// The statuses of a shipment.
const (
	Booked    Status = "booked"    // waits for the order's confirmation
	Shipped   Status = "shipped"   // left the house after the order was confirmed
	Cancelled Status = "cancelled" // undone
)

type (
	// Money is an amount in minor units (cents) of a currency (ISO 4217).
	Money struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	// Line is a number of units of one SKU.
	Line struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// QuoteRequest asks what the delivery of the lines costs.
	QuoteRequest struct {
		Lines []Line `json:"lines"`
	}
	// Quote is the estimate of one delivery.
	Quote struct {
		Cost Money `json:"cost"`
		Days int   `json:"days"` // working days until arrival
	}
	// DispatchRequest books the delivery of an order.
	DispatchRequest struct {
		OrderID string `json:"order_id"`
		Lines   []Line `json:"lines"`
	}
	// CancelRequest names the order whose booking is undone.
	CancelRequest struct {
		OrderID string `json:"order_id"`
	}
	// Shipment is the state of one order's delivery.
	Shipment struct {
		ID       string    `json:"id"`
		OrderID  string    `json:"order_id"`
		Status   Status    `json:"status"`
		Lines    []Line    `json:"lines"`
		BookedAt time.Time `json:"booked_at"`
	}
)
