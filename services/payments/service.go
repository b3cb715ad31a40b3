// Package payments moves money through a card provider, once per order.
package payments

import "context"

// Service is the contract of payments. Every method is idempotent by OrderID.
type Service interface {
	// Authorise holds the amount on the customer's card. It fails with
	// fault.Declined when the provider refuses, for good, with fault.KeyReused
	// when the order was authorised for another amount, and with
	// fault.Conflict when the order was voided.
	Authorise(context.Context, AuthoriseRequest) (Payment, error)
	// Capture takes the authorised amount. It fails with fault.NotFound when
	// nothing was authorised and with fault.Conflict when it was voided.
	Capture(context.Context, SettleRequest) (Payment, error)
	// Void gives an authorised amount back; voiding nothing succeeds, and a
	// late Authorise then fails. It fails with fault.Conflict after a capture.
	Void(context.Context, SettleRequest) (Payment, error)
}

// Status tells how far a payment has come.
type Status string

// The statuses of a payment.
const (
	Authorised Status = "authorised"
	Captured   Status = "captured"
	Voided     Status = "voided"
	Declined   Status = "declined"
)

type (
	// Money is an amount in minor units (cents) of a currency (ISO 4217).
	Money struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	// AuthoriseRequest asks to hold an amount for an order.
	AuthoriseRequest struct {
		OrderID string `json:"order_id"`
		Amount  Money  `json:"amount"`
	}
	// SettleRequest names the order whose payment is captured or voided.
	SettleRequest struct {
		OrderID string `json:"order_id"`
	}
	// Payment is the state of one order's payment.
	Payment struct {
		OrderID   string `json:"order_id"`
		Status    Status `json:"status"`
		Amount    Money  `json:"amount"`
		Reference string `json:"reference"` // the provider's name for it
	}
)
