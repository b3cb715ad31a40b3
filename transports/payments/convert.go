package payments

import (
	"github.com/kitmesh/kitmesh/services/payments"
	paymentspb "github.com/kitmesh/kitmesh/transports/proto/payments/v1"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func moneyToPB(v payments.Money) *paymentspb.Money {
	return &paymentspb.Money{Amount: v.Amount, Currency: v.Currency}
}

func moneyFromPB(v *paymentspb.Money) payments.Money {
	return payments.Money{Amount: v.GetAmount(), Currency: v.GetCurrency()}
}

func authoriseRequestToPB(v payments.AuthoriseRequest) *paymentspb.AuthoriseRequest {
	return &paymentspb.AuthoriseRequest{OrderId: v.OrderID, Amount: moneyToPB(v.Amount)}
}

func authoriseRequestFromPB(v *paymentspb.AuthoriseRequest) payments.AuthoriseRequest {
	return payments.AuthoriseRequest{OrderID: v.GetOrderId(), Amount: moneyFromPB(v.GetAmount())}
}

func settleRequestToPB(v payments.SettleRequest) *paymentspb.SettleRequest {
	return &paymentspb.SettleRequest{OrderId: v.OrderID}
}

func settleRequestFromPB(v *paymentspb.SettleRequest) payments.SettleRequest {
	return payments.SettleRequest{OrderID: v.GetOrderId()}
}

func paymentToPB(v payments.Payment) *paymentspb.Payment {
	return &paymentspb.Payment{
		OrderId:   v.OrderID,
		Status:    string(v.Status),
		Amount:    moneyToPB(v.Amount),
		Reference: v.Reference,
	}
}

func paymentFromPB(v *paymentspb.Payment) payments.Payment {
	return payments.Payment{
		OrderID:   v.GetOrderId(),
		Status:    payments.Status(v.GetStatus()),
		Amount:    moneyFromPB(v.GetAmount()),
		Reference: v.GetReference(),
	}
}
