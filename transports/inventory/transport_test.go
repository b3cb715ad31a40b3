package inventory

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/inventory"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		ReserveEndpoint: fake.Method("Reserve"),
		CommitEndpoint:  fake.Method("Commit"),
		ReleaseEndpoint: fake.Method("Release"),
		StockEndpoint:   fake.Method("Stock"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]inventory.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "inventory.Reserve", svc.Reserve)
			wiretest.Method(t, &fake, "inventory.Commit", svc.Commit)
			wiretest.Method(t, &fake, "inventory.Release", svc.Release)
			wiretest.Method(t, &fake, "inventory.Stock", svc.Stock)
		})
	}
}

func overREST(base string) inventory.Service {
	return endpoints.Set{
		ReserveEndpoint: wiretest.Call[inventory.ReserveRequest, inventory.Reservation](base, "POST /v1/reservations"),
		CommitEndpoint:  wiretest.Call[inventory.SettleRequest, inventory.Reservation](base, "POST /v1/commits"),
		ReleaseEndpoint: wiretest.Call[inventory.SettleRequest, inventory.Reservation](base, "POST /v1/releases"),
		StockEndpoint:   wiretest.Call[inventory.StockRequest, inventory.Stock](base, "GET /v1/stock/{sku}"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, lineToPB, lineFromPB)
	wiretest.Lossless(t, reserveRequestToPB, reserveRequestFromPB)
	wiretest.Lossless(t, settleRequestToPB, settleRequestFromPB)
	wiretest.Lossless(t, reservationToPB, reservationFromPB)
	wiretest.Lossless(t, stockRequestToPB, stockRequestFromPB)
	wiretest.Lossless(t, stockToPB, stockFromPB)
}
