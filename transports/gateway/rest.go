// Package gateway binds the endpoints of the gateway to REST, the shop's public
// API. transports/openapi describes it and validates it.
package gateway

import (
	"net/http"
	"net/url"

	zipkin "github.com/openzipkin/zipkin-go"

	endpoints "github.com/kitmesh/kitmesh/endpoints/gateway"
	"github.com/kitmesh/kitmesh/services/gateway"
	"github.com/kitmesh/kitmesh/transports/openapi"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// Routes is the REST form of the gateway.
func Routes(e endpoints.Set) []rest.Route {
	return []rest.Route{
		rest.Handle[gateway.BrowseRequest]("GET /v1/products", e.BrowseEndpoint),
		rest.Handle[gateway.ProductRequest]("GET /v1/products/{sku}", e.ProductEndpoint),
		rest.Handle[gateway.PlaceOrderRequest]("POST /v1/orders", e.PlaceOrderEndpoint, rest.Answer(placed)),
		rest.Handle[gateway.GetOrderRequest]("GET /v1/orders/{id}", e.GetOrderEndpoint),
	}
}

// placed answers 201 to an order that is final and 202 to one that goes on by
// itself; both say where to find it.
func placed(order gateway.Order) (status int, location string) {
	location = "/v1/orders/" + url.PathEscape(order.ID)
	if order.Status == gateway.StatusPending {
		return http.StatusAccepted, location
	}
	return http.StatusCreated, location
}

// NewHandler serves the whole public surface: the routes, each request
// validated by the OpenAPI document, the document at /openapi.yaml and a page
// for it at /docs/. A nil tracer reports nothing. It panics when the embedded
// document is broken, which the tests rule out.
func NewHandler(e endpoints.Set, tracer *zipkin.Tracer, opts ...rest.Option) http.Handler {
	validator, err := openapi.NewValidator()
	if err != nil {
		panic(err)
	}
	docs := openapi.Handler()
	routes := append(Routes(e),
		rest.Serve("GET /openapi.yaml", docs),
		rest.Serve("GET /docs", docs),
		rest.Serve("GET /docs/", docs),
		rest.Serve("GET /{$}", http.RedirectHandler("/docs/", http.StatusSeeOther)),
	)
	opts = append([]rest.Option{rest.WithCheck(validator.Request)}, opts...)
	return rest.Trace(tracer, rest.NewHandler(routes, opts...))
}
