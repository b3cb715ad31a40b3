package payments

import (
	"testing"

	"google.golang.org/grpc"

	endpoints "github.com/kitmesh/kitmesh/endpoints/payments"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
)

// TestContract runs one suite against the service itself, against its gRPC
// client and against its REST form, which must be indistinguishable.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		AuthoriseEndpoint: fake.Method("Authorise"),
		CaptureEndpoint:   fake.Method("Capture"),
		VoidEndpoint:      fake.Method("Void"),
	}, fake.Wrap)
	conn := wiretest.GRPC(t, func(s grpc.ServiceRegistrar) { Register(s, set) })
	for name, svc := range map[string]payments.Service{
		"direct": set,
		"grpc":   Client(fake.Direct(conn)),
		"rest":   overREST(wiretest.REST(t, Routes(set))),
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "payments.Authorise", svc.Authorise)
			wiretest.Method(t, &fake, "payments.Capture", svc.Capture)
			wiretest.Method(t, &fake, "payments.Void", svc.Void)
		})
	}
}

func overREST(base string) payments.Service {
	return endpoints.Set{
		AuthoriseEndpoint: wiretest.Call[payments.AuthoriseRequest, payments.Payment](base, "POST /v1/authorisations"),
		CaptureEndpoint:   wiretest.Call[payments.SettleRequest, payments.Payment](base, "POST /v1/captures"),
		VoidEndpoint:      wiretest.Call[payments.SettleRequest, payments.Payment](base, "POST /v1/voids"),
	}
}

// TestConversions proves that no field is lost on the way to protobuf and back.
func TestConversions(t *testing.T) {
	wiretest.Lossless(t, moneyToPB, moneyFromPB)
	wiretest.Lossless(t, authoriseRequestToPB, authoriseRequestFromPB)
	wiretest.Lossless(t, settleRequestToPB, settleRequestFromPB)
	wiretest.Lossless(t, paymentToPB, paymentFromPB)
}
