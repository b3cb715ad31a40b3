package pricing

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/pricing"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the pricing service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[pricing.QuoteRequest]("POST /v1/quotes", e.QuoteEndpoint),
	}
}
