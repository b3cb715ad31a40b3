// Shipping estimates and books deliveries.
package main

import (
	"context"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	endpoints "github.com/kitmesh/kitmesh/endpoints/shipping"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/shipping"
	pricingtransport "github.com/kitmesh/kitmesh/transports/pricing"
	transport "github.com/kitmesh/kitmesh/transports/shipping"
)

func main() {
	app.Main("shipping", func(a *app.App) error {
		shipments, err := a.Journal("shipments")
		if err != nil {
			return err
		}
		orders, err := a.Journal("orders")
		if err != nil {
			return err
		}
		service := shipping.New(shipments, orders, ports.Shipping(pricingtransport.Client(a.Client("pricing"))), a.Logger)
		a.Go("order events", func(ctx context.Context) error { // a parcel can wait
			return service.Run(middleware.WithPriority(ctx, middleware.Background))
		})
		set := endpoints.New(service, a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
