// Package orders takes orders and sees them through: a saga over inventory,
// payments and shipping that any instance can resume.
package orders

import (
	"context"
	"time"
)

// Service is the contract of orders.
type Service interface {
	// Place takes an order and drives it to a final status. It is idempotent by
	// Key: the same request returns the same order, also while the first is
	// still running; another body under the same key fails with fault.KeyReused,
	// and so does a key that is older than a day. An order that ends in Cancelled
	// fails the request with the reason's own code (fault.Conflict: sold out,
	// fault.Declined). When that takes longer than a customer should wait, a step
	// keeps failing, or the deadline comes first, the order is returned as it
	// stands and goes on.
	Place(context.Context, PlaceRequest) (Order, error)
	// Get fails with fault.NotFound when there is no such order.
	Get(context.Context, GetRequest) (Order, error)
	// List returns the newest orders first.
	List(context.Context, ListRequest) (Page, error)
}

// Status tells how far the saga has come.
type Status string

// The statuses of an order, in the order of the saga. Confirmed, Cancelled and
// Failed are final. From Captured on the saga only goes forward.
const (
	Placed     Status = "placed"
	Reserved   Status = "reserved"
	Authorised Status = "authorised"
	Dispatched Status = "dispatched"
	Captured   Status = "captured"
	Confirmed  Status = "confirmed"  // stock committed, parcel may leave
	Cancelling Status = "cancelling" // undoing, in reverse
	Cancelled  Status = "cancelled"
	Failed     Status = "failed" // poisoned: needs a person
)

// Final reports whether the saga has ended.
func (s Status) Final() bool { return s == Confirmed || s == Cancelled || s == Failed }

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
	// PlaceRequest asks for an order.
	PlaceRequest struct {
		Key     string `json:"key"` // the customer's Idempotency-Key, 1 to MaxKeyLength characters
		Lines   []Line `json:"lines"`
		TraceID string `json:"trace_id,omitempty"` // of the request that placed it, kept with the order
	}
	// GetRequest asks for one order.
	GetRequest struct {
		ID string `json:"-" path:"id"`
	}
	// ListRequest asks for one page of orders.
	ListRequest struct {
		PageSize  int    `json:"-" query:"page_size"`  // 1 to MaxPageSize; 0 means DefaultPageSize
		PageToken string `json:"-" query:"page_token"` // NextPageToken of the page before
	}
	// Page is one page of orders.
	Page struct {
		Orders        []Order `json:"orders"`
		NextPageToken string  `json:"next_page_token,omitempty"`
	}
	// Order is the state of one order.
	Order struct {
		ID         string    `json:"id"`
		Status     Status    `json:"status"`
		Lines      []Line    `json:"lines"`
		Goods      Money     `json:"goods"`
		Shipping   Money     `json:"shipping"`
		Total      Money     `json:"total"`                 // Goods + Shipping
		Reason     string    `json:"reason,omitempty"`      // why it was cancelled or failed
		ReasonCode string    `json:"reason_code,omitempty"` // the fault code behind Reason
		TraceID    string    `json:"trace_id,omitempty"`
		PlacedAt   time.Time `json:"placed_at"`
	}
)

// Bounds of a request.
const (
	MaxLines        = 100
	MaxQuantity     = 1000
	MaxKeyLength    = 128
	DefaultPageSize = 20
	MaxPageSize     = 100
)
