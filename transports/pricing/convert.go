package pricing

import (
	"github.com/kitmesh/kitmesh/services/pricing"
	pricingpb "github.com/kitmesh/kitmesh/transports/proto/pricing/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func moneyToPB(v pricing.Money) *pricingpb.Money {
	return &pricingpb.Money{Amount: v.Amount, Currency: v.Currency}
}

func moneyFromPB(v *pricingpb.Money) pricing.Money {
	return pricing.Money{Amount: v.GetAmount(), Currency: v.GetCurrency()}
}

func lineToPB(v pricing.Line) *pricingpb.Line {
	return &pricingpb.Line{Sku: v.SKU, Quantity: int64(v.Quantity)}
}

func lineFromPB(v *pricingpb.Line) pricing.Line {
	return pricing.Line{SKU: v.GetSku(), Quantity: int(v.GetQuantity())}
}

func quoteRequestToPB(v pricing.QuoteRequest) *pricingpb.QuoteRequest {
	return &pricingpb.QuoteRequest{Lines: rpc.Slice(v.Lines, lineToPB)}
}

func quoteRequestFromPB(v *pricingpb.QuoteRequest) pricing.QuoteRequest {
	return pricing.QuoteRequest{Lines: rpc.Slice(v.GetLines(), lineFromPB)}
}

func pricedLineToPB(v pricing.PricedLine) *pricingpb.PricedLine {
	return &pricingpb.PricedLine{
		Sku:      v.SKU,
		Quantity: int64(v.Quantity),
		Unit:     moneyToPB(v.Unit),
		Total:    moneyToPB(v.Total),
	}
}

func pricedLineFromPB(v *pricingpb.PricedLine) pricing.PricedLine {
	return pricing.PricedLine{
		SKU:      v.GetSku(),
		Quantity: int(v.GetQuantity()),
		Unit:     moneyFromPB(v.GetUnit()),
		Total:    moneyFromPB(v.GetTotal()),
	}
}

func quoteToPB(v pricing.Quote) *pricingpb.QuoteReply {
	return &pricingpb.QuoteReply{Lines: rpc.Slice(v.Lines, pricedLineToPB), Total: moneyToPB(v.Total)}
}

func quoteFromPB(v *pricingpb.QuoteReply) pricing.Quote {
	return pricing.Quote{Lines: rpc.Slice(v.GetLines(), pricedLineFromPB), Total: moneyFromPB(v.GetTotal())}
}
