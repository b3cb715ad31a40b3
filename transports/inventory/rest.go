package inventory

import (
	endpoints "github.com/kitmesh/kitmesh/endpoints/inventory"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the inventory service, for curl; the services
// themselves call each other over gRPC.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[inventory.ReserveRequest]("POST /v1/reservations", e.ReserveEndpoint),
		rest.Handle[inventory.SettleRequest]("POST /v1/commits", e.CommitEndpoint),
		rest.Handle[inventory.SettleRequest]("POST /v1/releases", e.ReleaseEndpoint),
		rest.Handle[inventory.StockRequest]("GET /v1/stock/{sku}", e.StockEndpoint),
	}
}
