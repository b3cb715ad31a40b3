package catalog

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		ListEndpoint: fake.Method("List"),
		GetEndpoint:  fake.Method("Get"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]catalog.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "catalog.List", svc.List)
			wiretest.Method(t, &fake, "catalog.Get", svc.Get)
		})
	}
}

func overREST(base string) catalog.Service {
	return endpoints.Set{
		ListEndpoint: wiretest.Call[catalog.ListRequest, catalog.Page](base, "GET /v1/products"),
		GetEndpoint:  wiretest.Call[catalog.GetRequest, catalog.Product](base, "GET /v1/products/{sku}"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, listRequestToPB, listRequestFromPB)
	wiretest.Lossless(t, pageToPB, pageFromPB)
	wiretest.Lossless(t, getRequestToPB, getRequestFromPB)
	wiretest.Lossless(t, productToPB, productFromPB)
}
