package main

import (
	"context"

	pricingapi "github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
)

// pricing is shipping's port to the service of that name.
type pricing struct{ pricingapi.Service }

// Value implements shipping.Pricing.
func (p pricing) Value(ctx context.Context, lines []shipping.Line) (shipping.Money, error) {
	request := pricingapi.QuoteRequest{Lines: make([]pricingapi.Line, len(lines))}
	for i, line := range lines {
		request.Lines[i] = pricingapi.Line(line)
	}
	quote, err := p.Quote(ctx, request)
	return shipping.Money(quote.Total), err
}
