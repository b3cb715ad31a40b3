// Catalog tells what the shop sells.
package main

import (
	"github.com/kitmesh/kitmesh/cmd/internal/app"
	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/services/catalog"
	transport "github.com/kitmesh/kitmesh/transports/catalog"
)

func main() {
	app.Main("catalog", func(a *app.App) error {
		service, err := catalog.New(a.Config.Version)
		if err != nil {
			return err
		}
		set := endpoints.New(service, a.Server())
		transport.Register(a.RPC(), set)
		a.REST(transport.Routes(set))
		return nil
	})
}
