// Package pricing knows what a basket costs.
package pricing

import "context"

// Service is pricing's contract.
type Service interface {
	// Quote prices the lines with volume discounts. It fails with fault.Invalid
	// for a quantity outside 1 to MaxQuantity or more than MaxLines lines, and
	// with fault.NotFound for an unknown SKU.
	Quote(context.Context, QuoteRequest) (Quote, error)
}

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
	// QuoteRequest asks what the lines cost.
	QuoteRequest struct {
		Lines []Line `json:"lines"`
	}
	// PricedLine is a line with its price.
	PricedLine struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
		Unit     Money  `json:"unit"`  // before the discount
		Total    Money  `json:"total"` // Quantity × Unit less the volume discount
	}
	// Quote prices a basket; lines come in the order of the request.
	Quote struct {
		Lines []PricedLine `json:"lines"`
		Total Money        `json:"total"`
	}
)

// Bounds of a quote.
const (
	MaxLines    = 100
	MaxQuantity = 1000
)
