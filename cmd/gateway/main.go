// Gateway is the shop's public API: it assembles what customers see from the
// services behind it.
package main

import (
	"context"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	endpoints "github.com/kitmesh/kitmesh/endpoints/gateway"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
	catalogtransport "github.com/kitmesh/kitmesh/transports/catalog"
	transport "github.com/kitmesh/kitmesh/transports/gateway"
	inventorytransport "github.com/kitmesh/kitmesh/transports/inventory"
	orderstransport "github.com/kitmesh/kitmesh/transports/orders"
	pricingtransport "github.com/kitmesh/kitmesh/transports/pricing"
	"github.com/kitmesh/kitmesh/transports/rest"
	shippingtransport "github.com/kitmesh/kitmesh/transports/shipping"
)

func main() {
	app.Main("gateway", func(a *app.App) error {
		products := middleware.NewStale(1000) // the catalog may be away; what it said lives on
		service := gateway.New(ports.Gateway(
			catalogtransport.Client(a.Client("catalog", guarded(a, "catalog", products))),
			pricingtransport.Client(a.Client("pricing", guarded(a, "pricing", nil))),
			inventorytransport.Client(a.Client("inventory", guarded(a, "inventory", nil))),
			shippingtransport.Client(a.Client("shipping", guarded(a, "shipping", nil))),
			orderstransport.Client(a.Client("orders")),
		), gateway.Options{
			Missed: func(ctx context.Context, part string, err error) {
				a.Logger.DebugContext(ctx, "page without "+part, "error", err)
				if fault.CodeOf(err) == fault.Overloaded {
					middleware.Incomplete(ctx)
				}
			},
		})
		set := endpoints.New(service, a.Server(app.Orders("gateway.PlaceOrder", "gateway.GetOrder"), app.Assembles))
		a.HTTP(transport.NewHandler(set, a.Tracer, rest.WithLogger(a.Logger)))
		stream := middleware.NewHystrixStream()
		a.AdminStream("GET /hystrix.stream", stream, stream.Close)
		return nil
	})
}
