package shipping

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/shipping"
	"github.com/kitmesh/kitmesh/services/shipping"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the shipping service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[shipping.QuoteRequest]("POST /v1/quotes", e.QuoteEndpoint),
		rest.Handle[shipping.DispatchRequest]("POST /v1/shipments", e.DispatchEndpoint),
		rest.Handle[shipping.CancelRequest]("POST /v1/cancellations", e.CancelEndpoint),
	}
}
