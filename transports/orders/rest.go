package orders

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/orders"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the orders service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[orders.PlaceRequest]("POST /v1/orders", e.PlaceEndpoint),
		rest.Handle[orders.ListRequest]("GET /v1/orders", e.ListEndpoint),
		rest.Handle[orders.GetRequest]("GET /v1/orders/{id}", e.GetEndpoint),
	}
}
