// Pricing tells what a basket costs.
package main

import (
	"github.com/kitmesh/kitmesh/cmd/internal/app"
	endpoints "github.com/kitmesh/kitmesh/endpoints/pricing"
	"github.com/kitmesh/kitmesh/services/pricing"
	transport "github.com/kitmesh/kitmesh/transports/pricing"
)

func main() {
	app.Main("pricing", func(a *app.App) error {
		service, err := pricing.New()
		if err != nil {
			return err
		}
		set := endpoints.New(service, a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
