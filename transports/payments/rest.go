package payments

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/payments"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the payments service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[payments.AuthoriseRequest]("POST /v1/authorisations", e.AuthoriseEndpoint),
		rest.Handle[payments.SettleRequest]("POST /v1/captures", e.CaptureEndpoint),
		rest.Handle[payments.SettleRequest]("POST /v1/voids", e.VoidEndpoint),
	}
}
