package pricing

import (
	"context"
	"fmt"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Currency is the one the shop sells in.
const Currency = "EUR"

// pricing holds every price in memory; it is immutable after New.
type pricing struct {
	cents map[string]int64 // price of one unit by SKU
}

// New returns the pricing of the embedded price list.
func New() (Service, error) {
	cents, err := parse(pricesCSV)
	if err != nil {
		return nil, fmt.Errorf("pricing: prices.csv: %w", err)
	}
	return &pricing{cents: cents}, nil
}

// Quote prices every line by itself: two lines of one SKU do not add up to a
// higher discount.
func (p *pricing) Quote(_ context.Context, req QuoteRequest) (Quote, error) {
	if err := validate(req.Lines); err != nil {
		return Quote{}, err
	}
	quote := Quote{Lines: make([]PricedLine, 0, len(req.Lines)), Total: euros(0)}
	for i, line := range req.Lines {
		unit, ok := p.cents[line.SKU]
		if !ok {
			return Quote{}, fault.New(fault.NotFound, "line %d: there is no price for %.64q; check the SKU", i+1, line.SKU)
		}
		total := lineTotal(unit, line.Quantity)
		quote.Lines = append(quote.Lines, PricedLine{
			SKU: line.SKU, Quantity: line.Quantity, Unit: euros(unit), Total: euros(total),
		})
		quote.Total.Amount += total
	}
	return quote, nil
}

func validate(lines []Line) error {
	if len(lines) < 1 || len(lines) > MaxLines {
		return fault.New(fault.Invalid, "a quote has 1 to %d lines, this request has %d", MaxLines, len(lines))
	}
	for i, line := range lines {
		if line.Quantity < 1 || line.Quantity > MaxQuantity {
			return fault.New(fault.Invalid, "line %d: the quantity is %d; use 1 to %d", i+1, line.Quantity, MaxQuantity)
		}
	}
	return nil
}

func euros(cents int64) Money { return Money{Amount: cents, Currency: Currency} }
