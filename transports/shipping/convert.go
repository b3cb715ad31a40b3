package shipping

import (
	"github.com/kitmesh/kitmesh/services/shipping"
	shippingpb "github.com/kitmesh/kitmesh/transports/proto/shipping/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func moneyToPB(v shipping.Money) *shippingpb.Money {
	return &shippingpb.Money{Amount: v.Amount, Currency: v.Currency}
}

func moneyFromPB(v *shippingpb.Money) shipping.Money {
	return shipping.Money{Amount: v.GetAmount(), Currency: v.GetCurrency()}
}

func lineToPB(v shipping.Line) *shippingpb.Line {
	return &shippingpb.Line{Sku: v.SKU, Quantity: int64(v.Quantity)}
}

func lineFromPB(v *shippingpb.Line) shipping.Line {
	return shipping.Line{SKU: v.GetSku(), Quantity: int(v.GetQuantity())}
}

func quoteRequestToPB(v shipping.QuoteRequest) *shippingpb.QuoteRequest {
	return &shippingpb.QuoteRequest{Lines: rpc.Slice(v.Lines, lineToPB)}
}

func quoteRequestFromPB(v *shippingpb.QuoteRequest) shipping.QuoteRequest {
	return shipping.QuoteRequest{Lines: rpc.Slice(v.GetLines(), lineFromPB)}
}

func quoteToPB(v shipping.Quote) *shippingpb.QuoteReply {
	return &shippingpb.QuoteReply{Cost: moneyToPB(v.Cost), Days: int64(v.Days)}
}

func quoteFromPB(v *shippingpb.QuoteReply) shipping.Quote {
	return shipping.Quote{Cost: moneyFromPB(v.GetCost()), Days: int(v.GetDays())}
}

func dispatchRequestToPB(v shipping.DispatchRequest) *shippingpb.DispatchRequest {
	return &shippingpb.DispatchRequest{OrderId: v.OrderID, Lines: rpc.Slice(v.Lines, lineToPB)}
}

func dispatchRequestFromPB(v *shippingpb.DispatchRequest) shipping.DispatchRequest {
	return shipping.DispatchRequest{OrderID: v.GetOrderId(), Lines: rpc.Slice(v.GetLines(), lineFromPB)}
}

func cancelRequestToPB(v shipping.CancelRequest) *shippingpb.CancelRequest {
	return &shippingpb.CancelRequest{OrderId: v.OrderID}
}

func cancelRequestFromPB(v *shippingpb.CancelRequest) shipping.CancelRequest {
	return shipping.CancelRequest{OrderID: v.GetOrderId()}
}

func shipmentToPB(v shipping.Shipment) *shippingpb.Shipment {
	return &shippingpb.Shipment{
		Id:       v.ID,
		OrderId:  v.OrderID,
		Status:   string(v.Status),
		Lines:    rpc.Slice(v.Lines, lineToPB),
		BookedAt: rpc.TimeToPB(v.BookedAt),
	}
}

func shipmentFromPB(v *shippingpb.Shipment) shipping.Shipment {
	return shipping.Shipment{
		ID:       v.GetId(),
		OrderID:  v.GetOrderId(),
		Status:   shipping.Status(v.GetStatus()),
		Lines:    rpc.Slice(v.GetLines(), lineFromPB),
		BookedAt: rpc.TimeFromPB(v.GetBookedAt()),
	}
}
