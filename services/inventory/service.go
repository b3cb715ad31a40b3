// Package inventory knows how many units of each SKU can still be sold.
package inventory

import "context"

// Service is inventory's contract. Reserve, Commit and Release are idempotent
// by Key: repeating one returns the same answer and changes nothing.
type Service interface {
	// Reserve holds units of every line, or of none. It fails with
	// fault.Conflict when a SKU has too few units left, with fault.NotFound for
	// an unknown SKU and with fault.Invalid for a bad quantity.
	Reserve(context.Context, ReserveRequest) (Reservation, error)
	// Commit ships what Key holds. It fails with fault.Conflict when the hold
	// was released, and with fault.NotFound when there was none.
	Commit(context.Context, SettleRequest) (Reservation, error)
	// Release returns what Key holds to the shelf; releasing nothing succeeds.
	// After it a late Reserve of the same Key fails with fault.Conflict. It
	// fails with fault.Conflict when the hold was committed.
	Release(context.Context, SettleRequest) (Reservation, error)
	// Stock fails with fault.NotFound when there is no such SKU.
	Stock(context.Context, StockRequest) (Stock, error)
}

// Status tells what became of a reservation.
type Status string

// The statuses of a reservation.
const (
	Reserved  Status = "reserved"
	Committed Status = "committed"
	Released  Status = "released"
)

type (
	// Line is a number of units of one SKU.
	Line struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// ReserveRequest asks to hold units; each SKU at most once.
	ReserveRequest struct {
		Key   string `json:"key"` // names the hold; the order's id
		Lines []Line `json:"lines"`
	}
	// SettleRequest names the hold to commit or to release, and its lines.
	SettleRequest struct {
		Key   string `json:"key"`
		Lines []Line `json:"lines"`
	}
	// Reservation is the state of one hold.
	Reservation struct {
		Key    string `json:"key"`
		Status Status `json:"status"`
		Lines  []Line `json:"lines"`
	}
	// StockRequest asks for one SKU's stock.
	StockRequest struct {
		SKU string `json:"-" path:"sku"`
	}
	// Stock counts the units of one SKU.
	Stock struct {
		SKU       string `json:"sku"`
		Available int    `json:"available"` // can still be sold
		Reserved  int    `json:"reserved"`  // held by open orders
		Shipped   int    `json:"shipped"`   // sold since the ledger began
	}
)
