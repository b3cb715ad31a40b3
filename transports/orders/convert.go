package orders

import (
	"github.com/kitmesh/kitmesh/services/orders"
	orderspb "github.com/kitmesh/kitmesh/transports/proto/orders/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func moneyToPB(v orders.Money) *orderspb.Money {
	return &orderspb.Money{Amount: v.Amount, Currency: v.Currency}
}

func moneyFromPB(v *orderspb.Money) orders.Money {
	return orders.Money{Amount: v.GetAmount(), Currency: v.GetCurrency()}
}

func lineToPB(v orders.Line) *orderspb.Line {
	return &orderspb.Line{Sku: v.SKU, Quantity: int64(v.Quantity)}
}

func lineFromPB(v *orderspb.Line) orders.Line {
	return orders.Line{SKU: v.GetSku(), Quantity: int(v.GetQuantity())}
}

func placeRequestToPB(v orders.PlaceRequest) *orderspb.PlaceRequest {
	return &orderspb.PlaceRequest{
		Key:     v.Key,
		Lines:   rpc.Slice(v.Lines, lineToPB),
		TraceId: v.TraceID,
	}
}

func placeRequestFromPB(v *orderspb.PlaceRequest) orders.PlaceRequest {
	return orders.PlaceRequest{
		Key:     v.GetKey(),
		Lines:   rpc.Slice(v.GetLines(), lineFromPB),
		TraceID: v.GetTraceId(),
	}
}

func getRequestToPB(v orders.GetRequest) *orderspb.GetRequest {
	return &orderspb.GetRequest{Id: v.ID}
}

func getRequestFromPB(v *orderspb.GetRequest) orders.GetRequest {
	return orders.GetRequest{ID: v.GetId()}
}

func listRequestToPB(v orders.ListRequest) *orderspb.ListRequest {
	return &orderspb.ListRequest{PageSize: int64(v.PageSize), PageToken: v.PageToken}
}

func listRequestFromPB(v *orderspb.ListRequest) orders.ListRequest {
	return orders.ListRequest{PageSize: int(v.GetPageSize()), PageToken: v.GetPageToken()}
}

func pageToPB(v orders.Page) *orderspb.Page {
	return &orderspb.Page{Orders: rpc.Slice(v.Orders, orderToPB), NextPageToken: v.NextPageToken}
}

func pageFromPB(v *orderspb.Page) orders.Page {
	return orders.Page{Orders: rpc.Slice(v.GetOrders(), orderFromPB), NextPageToken: v.GetNextPageToken()}
}

func orderToPB(v orders.Order) *orderspb.Order {
	return &orderspb.Order{
		Id:         v.ID,
		Status:     string(v.Status),
		Lines:      rpc.Slice(v.Lines, lineToPB),
		Goods:      moneyToPB(v.Goods),
		Shipping:   moneyToPB(v.Shipping),
		Total:      moneyToPB(v.Total),
		Reason:     v.Reason,
		ReasonCode: v.ReasonCode,
		TraceId:    v.TraceID,
		PlacedAt:   rpc.TimeToPB(v.PlacedAt),
	}
}

func orderFromPB(v *orderspb.Order) orders.Order {
	return orders.Order{
		ID:         v.GetId(),
		Status:     orders.Status(v.GetStatus()),
		Lines:      rpc.Slice(v.GetLines(), lineFromPB),
		Goods:      moneyFromPB(v.GetGoods()),
		Shipping:   moneyFromPB(v.GetShipping()),
		Total:      moneyFromPB(v.GetTotal()),
		Reason:     v.GetReason(),
		ReasonCode: v.GetReasonCode(),
		TraceID:    v.GetTraceId(),
		PlacedAt:   rpc.TimeFromPB(v.GetPlacedAt()),
	}
}
