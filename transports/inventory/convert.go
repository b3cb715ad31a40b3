package inventory

import (
	"github.com/kitmesh/kitmesh/services/inventory"
	inventorypb "github.com/kitmesh/kitmesh/transports/proto/inventory/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func lineToPB(v inventory.Line) *inventorypb.Line {
	return &inventorypb.Line{Sku: v.SKU, Quantity: int64(v.Quantity)}
}

func lineFromPB(v *inventorypb.Line) inventory.Line {
	return inventory.Line{SKU: v.GetSku(), Quantity: int(v.GetQuantity())}
}

func reserveRequestToPB(v inventory.ReserveRequest) *inventorypb.ReserveRequest {
	return &inventorypb.ReserveRequest{Key: v.Key, Lines: rpc.Slice(v.Lines, lineToPB)}
}

func reserveRequestFromPB(v *inventorypb.ReserveRequest) inventory.ReserveRequest {
	return inventory.ReserveRequest{Key: v.GetKey(), Lines: rpc.Slice(v.GetLines(), lineFromPB)}
}

func settleRequestToPB(v inventory.SettleRequest) *inventorypb.SettleRequest {
	return &inventorypb.SettleRequest{Key: v.Key, Lines: rpc.Slice(v.Lines, lineToPB)}
}

func settleRequestFromPB(v *inventorypb.SettleRequest) inventory.SettleRequest {
	return inventory.SettleRequest{Key: v.GetKey(), Lines: rpc.Slice(v.GetLines(), lineFromPB)}
}

func reservationToPB(v inventory.Reservation) *inventorypb.Reservation {
	return &inventorypb.Reservation{
		Key:    v.Key,
		Status: string(v.Status),
		Lines:  rpc.Slice(v.Lines, lineToPB),
	}
}

func reservationFromPB(v *inventorypb.Reservation) inventory.Reservation {
	return inventory.Reservation{
		Key:    v.GetKey(),
		Status: inventory.Status(v.GetStatus()),
		Lines:  rpc.Slice(v.GetLines(), lineFromPB),
	}
}

func stockRequestToPB(v inventory.StockRequest) *inventorypb.StockRequest {
	return &inventorypb.StockRequest{Sku: v.SKU}
}

func stockRequestFromPB(v *inventorypb.StockRequest) inventory.StockRequest {
	return inventory.StockRequest{SKU: v.GetSku()}
}

func stockToPB(v inventory.Stock) *inventorypb.StockReply {
	return &inventorypb.StockReply{
		Sku:       v.SKU,
		Available: int64(v.Available),
		Reserved:  int64(v.Reserved),
		Shipped:   int64(v.Shipped),
	}
}

func stockFromPB(v *inventorypb.StockReply) inventory.Stock {
	return inventory.Stock{
		SKU:       v.GetSku(),
		Available: int(v.GetAvailable()),
		Reserved:  int(v.GetReserved()),
		Shipped:   int(v.GetShipped()),
	}
}
