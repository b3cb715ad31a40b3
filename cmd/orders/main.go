// Orders takes orders and sees them through, whichever instance dies.
package main

import (
	"context"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	endpoints "github.com/kitmesh/kitmesh/endpoints/orders"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/orders"
	inventorytransport "github.com/kitmesh/kitmesh/transports/inventory"
	transport "github.com/kitmesh/kitmesh/transports/orders"
	paymentstransport "github.com/kitmesh/kitmesh/transports/payments"
	pricingtransport "github.com/kitmesh/kitmesh/transports/pricing"
	shippingtransport "github.com/kitmesh/kitmesh/transports/shipping"
)

func main() {
	app.Main("orders", func(a *app.App) error {
		journal, err := a.Journal("orders")
		if err != nil {
			return err
		}
		service := orders.New(journal, ports.Orders(
			inventorytransport.Client(a.Client("inventory")),
			paymentstransport.Client(a.Client("payments")),
			shippingtransport.Client(a.Client("shipping")),
			pricingtransport.Client(a.Client("pricing")),
		), orders.Options{Logger: a.Logger})
		a.Go("saga", func(ctx context.Context) error { // what it resumes may be paid for
			return service.Run(middleware.WithPriority(ctx, middleware.Critical))
		})
		set := endpoints.New(service, a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
