package edge

import (
	"context"
	"testing"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// The edge finds an instance in a real Consul, and goes on without it.
func TestInstancesFromConsul(t *testing.T) {
	consul := consultest.Start(t)
	g := newGateway(t, "gateway-1")
	ctx, stop := context.WithCancel(t.Context())
	registrar := registry.New(consul.Client(), registry.Registration{
		Service: "gateway", ID: "gateway-1", Addr: g.Listener.Addr().String(),
	}, func(context.Context) (string, error) { return "fine", nil }, nil)
	registered := make(chan error, 1)
	go func() { registered <- registrar.Run(ctx) }()
	defer func() {
		stop()
		<-registered
	}()

	e, err := New(Options{Addr: "127.0.0.1:0", Consul: consul.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	running, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running) }()
	defer func() {
		end()
		<-ended
	}()
	for { // until the registration has come round; the test's own limit bounds it
		if got := ask(t, e, "GET", "/v1/products", ""); got.text == "gateway-1" {
			break
		} else if got.StatusCode != 503 {
			t.Fatalf("%d %s", got.StatusCode, got.text)
		}
	}
	consul.Kill()
	for range 5 {
		if got := ask(t, e, "GET", "/v1/products", ""); got.text != "gateway-1" {
			t.Errorf("without Consul: %d %s", got.StatusCode, got.text)
		}
	}
}
