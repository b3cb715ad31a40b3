package shipping

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/shipping"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		QuoteEndpoint:    fake.Method("Quote"),
		DispatchEndpoint: fake.Method("Dispatch"),
		CancelEndpoint:   fake.Method("Cancel"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]shipping.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "shipping.Quote", svc.Quote)
			wiretest.Method(t, &fake, "shipping.Dispatch", svc.Dispatch)
			wiretest.Method(t, &fake, "shipping.Cancel", svc.Cancel)
		})
	}
}

func overREST(base string) shipping.Service {
	return endpoints.Set{
		QuoteEndpoint:    wiretest.Call[shipping.QuoteRequest, shipping.Quote](base, "POST /v1/quotes"),
		DispatchEndpoint: wiretest.Call[shipping.DispatchRequest, shipping.Shipment](base, "POST /v1/shipments"),
		CancelEndpoint:   wiretest.Call[shipping.CancelRequest, shipping.Shipment](base, "POST /v1/cancellations"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, moneyToPB, moneyFromPB)
	wiretest.Lossless(t, lineToPB, lineFromPB)
	wiretest.Lossless(t, quoteRequestToPB, quoteRequestFromPB)
	wiretest.Lossless(t, quoteToPB, quoteFromPB)
	wiretest.Lossless(t, dispatchRequestToPB, dispatchRequestFromPB)
	wiretest.Lossless(t, cancelRequestToPB, cancelRequestFromPB)
	wiretest.Lossless(t, shipmentToPB, shipmentFromPB)
}
