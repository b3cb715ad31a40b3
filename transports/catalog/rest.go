package catalog

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the catalog service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[catalog.ListRequest]("GET /v1/products", e.ListEndpoint),
		rest.Handle[catalog.GetRequest]("GET /v1/products/{sku}", e.GetEndpoint),
	}
}
