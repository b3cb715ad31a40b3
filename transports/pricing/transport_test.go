package pricing

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/pricing"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		QuoteEndpoint: fake.Method("Quote"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]pricing.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "pricing.Quote", svc.Quote)
		})
	}
}

func overREST(base string) pricing.Service {
	return endpoints.Set{
		QuoteEndpoint: wiretest.Call[pricing.QuoteRequest, pricing.Quote](base, "POST /v1/quotes"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, moneyToPB, moneyFromPB)
	wiretest.Lossless(t, lineToPB, lineFromPB)
	wiretest.Lossless(t, quoteRequestToPB, quoteRequestFromPB)
	wiretest.Lossless(t, pricedLineToPB, pricedLineFromPB)
	wiretest.Lossless(t, quoteToPB, quoteFromPB)
}
