// Payments moves money through the card provider, once per order.
package main

import (
	"github.com/kitmesh/kitmesh/cmd/internal/app"
	endpoints "github.com/kitmesh/kitmesh/endpoints/payments"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/payments"
	transport "github.com/kitmesh/kitmesh/transports/payments"
)

func main() {
	app.Main("payments", func(a *app.App) error {
		journal, err := a.Journal("payments")
		if err != nil {
			return err
		}
		cards, err := provider.NewClient(a.Config.Provider, provider.ClientOptions{Tracer: a.Tracer})
		if err != nil {
			return err
		}
		a.OnClose(cards.Close)
		set := endpoints.New(payments.New(journal, cards), a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
