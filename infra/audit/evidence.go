// Package audit proves, or disproves, that the shop lost nothing: it compares
// what customers were told with what the journals of the services and the
// ledger of the payment provider hold. It knows their formats and none of
// their code, so that it cannot share a mistake with them.
package audit

import (
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

// Evidence is everything an audit looks at. Orders must be read last: then each
// effect that another source knows has its order here.
type Evidence struct {
	Histories []load.History // what customers saw; none: the checks that need one are skipped
	Orders    []Event[Order]
	Payments  []Event[Payment]
	Stock     []Event[StockEvent]
	Shipments []Event[Shipment]
	Provider  []provider.Entry
	Start     map[string]int // units by SKU when the ledger began; nil: believe the ledger
	// Cut is the sequence of the orders' journal up to which orders are judged.
	// Later ones may still be on their way; only their existence counts.
	Cut uint64
}

// Event is one event of a journal, all events of one in the order of Seq.
type Event[T any] struct {
	Seq   uint64
	Key   string
	At    time.Time // when it was stored, by the broker's clock
	Value T
}

// Line is a number of units of one SKU.
type Line = load.Line

// Money is an amount in minor units of a currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Order is an event of the journal "orders": the whole state after it.
type Order struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Lines    []Line `json:"lines"`
	Total    Money  `json:"total"`
	Reason   string `json:"reason"`
	TraceID  string `json:"trace_id"`
	Key      string `json:"key"`
	Revision int    `json:"revision"`
	Failures int    `json:"failures"`
}

// The statuses of an order.
const (
	placed     = "placed"
	reserved   = "reserved"
	authorised = "authorised"
	dispatched = "dispatched"
	captured   = "captured"
	confirmed  = "confirmed"
	cancelling = "cancelling"
	cancelled  = "cancelled"
	failed     = "failed"

	pending = "pending" // what customers read instead of any that is not final
)

func final(status string) bool { return status == confirmed || status == cancelled || status == failed }

// Payment is an event of the journal "payments".
type Payment struct {
	OrderID   string `json:"order_id"`
	Status    string `json:"status"` // authorising, authorised, captured, voided, declined
	Amount    Money  `json:"amount"`
	Reference string `json:"reference"`
}

// StockEvent is an event of the journal "stock": what happened to the hold of
// Key, and the shelf after it.
type StockEvent struct {
	Kind     string    `json:"kind"` // reserved, committed, released
	Key      string    `json:"key"`
	Quantity int       `json:"quantity"`
	Restock  int       `json:"restock"`
	At       time.Time `json:"at"` // before it was stored, by the writer's clock
	Shelf    Shelf     `json:"shelf"`
}

// Shelf is the state of one SKU.
type Shelf struct {
	SKU       string         `json:"sku"`
	Initial   int            `json:"initial"`
	Restocked int            `json:"restocked"`
	Available int            `json:"available"`
	Reserved  int            `json:"reserved"`
	Shipped   int            `json:"shipped"`
	Holds     map[string]int `json:"holds"`
}

// Shipment is an event of the journal "shipments".
type Shipment struct {
	ID      string `json:"id"`
	OrderID string `json:"order_id"`
	Status  string `json:"status"` // booked, shipped, cancelled
	Lines   []Line `json:"lines"`
}
