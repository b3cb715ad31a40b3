// Inventory keeps the ledger of the stock.
package main

import (
	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	endpoints "github.com/kitmesh/kitmesh/endpoints/inventory"
	"github.com/kitmesh/kitmesh/services/inventory"
	transport "github.com/kitmesh/kitmesh/transports/inventory"
)

func main() {
	app.Main("inventory", func(a *app.App) error {
		journal, err := a.Journal("stock")
		if err != nil {
			return err
		}
		orders, err := a.Journal("orders")
		if err != nil {
			return err
		}
		stock, err := inventory.InitialStock()
		if err != nil {
			return err
		}
		service := inventory.New(journal, a.Exchange(), stock, inventory.Options{
			ID: a.Config.ID, Logger: a.Logger, Orders: ports.Holders{Orders: orders},
		})
		measure(a.Registry(), service)
		a.Go("ledger", service.Run)
		a.Health.Add("ledger", service.Ready)
		set := endpoints.New(service, a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
