package shipping

import (
	"context"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Pricing is what a quote needs to know from pricing.
type Pricing interface {
	// Value returns what the goods of the lines cost, discounts included.
	Value(ctx context.Context, lines []Line) (Money, error)
}

// Bounds of a delivery.
const (
	MaxLines    = 100
	MaxQuantity = 1000
)

// Baskets of this value and more travel free.
const (
	freeFrom = 75_00 // cents
	currency = "EUR"
)

// rates is the price list of the carrier: the first row that holds all units
// applies.
var rates = []struct {
	Units int   // up to
	Cents int64 // for the whole delivery
	Days  int   // working days
}{
	{Units: 5, Cents: 3_90, Days: 2},
	{Units: 20, Cents: 5_90, Days: 2},
	{Units: 100, Cents: 12_90, Days: 3},
	{Units: 1000, Cents: 49_00, Days: 5},
	{Units: MaxLines * MaxQuantity, Cents: 189_00, Days: 8},
}

// validate refuses lines that no delivery can have.
func validate(lines []Line) error {
	if len(lines) < 1 || len(lines) > MaxLines {
		return fault.New(fault.Invalid, "a delivery has 1 to %d lines, this request has %d", MaxLines, len(lines))
	}
	for i, line := range lines {
		if line.SKU == "" {
			return fault.New(fault.Invalid, "line %d: the SKU is empty", i+1)
		}
		if line.Quantity < 1 || line.Quantity > MaxQuantity {
			return fault.New(fault.Invalid, "line %d: the quantity is %d; use 1 to %d", i+1, line.Quantity, MaxQuantity)
		}
	}
	return nil
}

// estimate returns the cost and the time of delivering valid lines whose goods
// are worth value. A value that is negative or in another currency is our own
// mistake and fails with fault.Internal.
func estimate(lines []Line, value Money) (Quote, error) {
	if value.Amount < 0 || value.Currency != currency {
		return Quote{}, fault.New(fault.Internal, "pricing valued the goods at %d %s; shipping needs an amount in %s", value.Amount, value.Currency, currency)
	}
	units := 0
	for _, line := range lines {
		units += line.Quantity
	}
	for _, rate := range rates {
		if units > rate.Units {
			continue
		}
		quote := Quote{Cost: Money{Amount: rate.Cents, Currency: currency}, Days: rate.Days}
		if value.Amount >= freeFrom {
			quote.Cost.Amount = 0
		}
		return quote, nil
	}
	return Quote{}, fault.New(fault.Invalid, "%d units are more than one delivery can carry; order at most %d", units, MaxLines*MaxQuantity)
}
