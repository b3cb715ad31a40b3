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

// StockEvent is an event of the journal "stock", whose keys are the shards. One
// of its parts is set.
type StockEvent struct {
	By string    `json:"by"` // address of the instance that wrote it
	At time.Time `json:"at"` // before it was stored, by the writer's clock

	Ops     []StockOp        `json:"ops"` // what happened to holds, in this order
	Shelves map[string]Shelf `json:"shelves"`

	Claim      *StockClaim      `json:"claim"`
	Checkpoint *StockCheckpoint `json:"checkpoint"`
	Settled    *StockSettled    `json:"settled"`
}

// StockOp is what happened to the hold of Key on one SKU.
type StockOp struct {
	Kind     string `json:"kind"` // reserved, committed, released
	SKU      string `json:"sku"`
	Key      string `json:"key"`
	Quantity int    `json:"quantity"`
	Restock  int    `json:"restock"`
}

// Shelf is the state of one SKU. Only checkpoints write the holds down.
type Shelf struct {
	Initial   int             `json:"initial"`
	Restocked int             `json:"restocked"`
	Available int             `json:"available"`
	Reserved  int             `json:"reserved"`
	Shipped   int             `json:"shipped"`
	Holds     map[string]Hold `json:"holds"`
}

// Hold is what a key holds of one SKU.
type Hold struct {
	Quantity int       `json:"quantity"`
	Since    time.Time `json:"since"`
}

// StockClaim says who writes to the shard from now on; "": nobody.
type StockClaim struct {
	Owner string `json:"owner"`
}

// StockCheckpoint is the state of the whole shard.
type StockCheckpoint struct {
	Owner   string           `json:"owner"`
	Epoch   uint64           `json:"epoch"`   // sequence of the owner's claim
	Settled uint64           `json:"settled"` // sequence of the first list of the last hour; 0: none
	Shelves map[string]Shelf `json:"shelves"`
}

// StockSettled lists the holds that were settled since the list before.
type StockSettled struct {
	Committed map[string][]string          `json:"committed"` // keys by SKU
	Released  map[string]map[string]string `json:"released"`  // reasons by key by SKU
}

// Shipment is an event of the journal "shipments".
type Shipment struct {
	ID      string `json:"id"`
	OrderID string `json:"order_id"`
	Status  string `json:"status"` // booked, shipped, cancelled
	Lines   []Line `json:"lines"`
}
