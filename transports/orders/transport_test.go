package orders

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/orders"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		PlaceEndpoint: fake.Method("Place"),
		GetEndpoint:   fake.Method("Get"),
		ListEndpoint:  fake.Method("List"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]orders.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "orders.Place", svc.Place)
			wiretest.Method(t, &fake, "orders.Get", svc.Get)
			wiretest.Method(t, &fake, "orders.List", svc.List)
		})
	}
}

func overREST(base string) orders.Service {
	return endpoints.Set{
		PlaceEndpoint: wiretest.Call[orders.PlaceRequest, orders.Order](base, "POST /v1/orders"),
		ListEndpoint:  wiretest.Call[orders.ListRequest, orders.Page](base, "GET /v1/orders"),
		GetEndpoint:   wiretest.Call[orders.GetRequest, orders.Order](base, "GET /v1/orders/{id}"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, moneyToPB, moneyFromPB)
	wiretest.Lossless(t, lineToPB, lineFromPB)
	wiretest.Lossless(t, placeRequestToPB, placeRequestFromPB)
	wiretest.Lossless(t, getRequestToPB, getRequestFromPB)
	wiretest.Lossless(t, listRequestToPB, listRequestFromPB)
	wiretest.Lossless(t, pageToPB, pageFromPB)
	wiretest.Lossless(t, orderToPB, orderFromPB)
}
