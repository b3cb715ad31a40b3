package ports

import (
	"context"

	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// Shipping is shipping's port to pricing.
func Shipping(q pricing.Service) shipping.Pricing { return declared{q} }

type declared struct{ pricing.Service }

func (d declared) Value(ctx context.Context, lines []shipping.Line) (shipping.Money, error) {
	quote, err := d.Quote(ctx, pricing.QuoteRequest{
		Lines: rpc.Slice(lines, func(l shipping.Line) pricing.Line { return pricing.Line(l) }),
	})
	return shipping.Money(quote.Total), err
}
