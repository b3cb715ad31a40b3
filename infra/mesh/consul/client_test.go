package consul_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
)

func TestAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"http://127.0.0.1:8500": true, "https://consul:8501": true, "127.0.0.1:8500": true,
		"consul:8500": true, "http://[::1]:8500": true,
		"": false, "consul": false, "http://": false,
	} {
		if _, err := consul.Client(addr, ""); (err == nil) != want {
			t.Errorf("%q: %v, want accepted: %v", addr, err, want)
		}
	}
}

// Calls without a deadline of their own end too when nobody can be dialled, and
// a deadline ends calls on a Consul that accepts and says nothing.
func TestCallsEnd(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client, err := consul.Client(silent.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, _, err := client.Catalog().Nodes((&api.QueryOptions{}).WithContext(ctx)); err == nil {
		t.Error("a silent Consul answered")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the call ended after %v, want its deadline of 100 ms", took)
	}
}
