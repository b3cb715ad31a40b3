package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// status --mesh shows what the instances themselves tell: a line per caller and
// called service, with what is unusual about it.
func TestStatusTellsHowInstancesSeeEachOther(t *testing.T) {
	source := discovery.NewStatic(
		discovery.Instance{ID: "pricing-1", Addr: "127.0.0.1:1"}, discovery.Instance{ID: "pricing-2", Addr: "127.0.0.1:2"},
		discovery.Instance{ID: "pricing-3", Addr: "127.0.0.1:3"})
	var instances []runner.Instance
	for i, id := range []string{"gateway-1", "gateway-2", "shipping-1"} {
		o := target.Options{Service: "pricing", Source: source, Balance: target.Balance{Zone: "local", Caller: id}}
		if i == 2 {
			o.Balance.Policy, o.Balance.Subset, o.Retry.Max = target.RoundRobin, 2, 5
		}
		x := target.New(o)
		defer x.Close()
		admin := httptest.NewServer(target.Handler(func() []*target.Target { return []*target.Target{x} }))
		defer admin.Close()
		instances = append(instances, runner.Instance{ID: id, Admin: admin.URL})
	}
	instances = append(instances, runner.Instance{ID: "orders-1", Admin: "http://127.0.0.1:1"})
	var out strings.Builder
	if err := writeViews(&out, askViews(t.Context(), instances)); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"gateway-1 pricing peak-ewma local 3 of 3 - 0 -",
		"gateway-2 pricing peak-ewma local 3 of 3 - 0 -",
		"shipping-1 pricing round-robin local 2 of 3 - 0 balance.subset=2 retry.max=5",
		"orders-1 - Get",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
