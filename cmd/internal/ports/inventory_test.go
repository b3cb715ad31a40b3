package ports_test

import (
	"testing"

	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

// TestAbandoned: only an order that never was or that was cancelled has no use
// for its goods. In every other state money may have been taken for them.
func TestAbandoned(t *testing.T) {
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	c, err := broker.Connect(t.Context(), s.URL(), broker.Options{})
	must(t, err)
	t.Cleanup(c.Close)
	j, err := c.Journal(t.Context(), "orders")
	must(t, err)
	holders := ports.Holders{Orders: j}
	for status, want := range map[string]bool{
		"": true, "placed": false, "reserved": false, "authorised": false, "dispatched": false, "captured": false,
		"confirmed": false, "cancelling": false, "cancelled": true, "failed": false, "of a later version": false,
	} {
		if status != "" {
			_, err = j.Append(t.Context(), "order-"+status, "on-way", []byte(`{"status":"`+status+`"}`), 0)
			must(t, err)
		}
		got, err := holders.Abandoned(t.Context(), "order-"+status)
		if err != nil || got != want {
			t.Errorf("order %q: abandoned %t, %v; want %t", status, got, err, want)
		}
	}
	_, err = j.Append(t.Context(), "broken", "on-way", []byte(`{`), 0)
	must(t, err)
	if gone, err := holders.Abandoned(t.Context(), "broken"); gone || err == nil {
		t.Errorf("an order that cannot be read: %t, %v", gone, err)
	}
	c.Close()
	if gone, err := holders.Abandoned(t.Context(), "order-cancelled"); gone || fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("without the broker: %t, %v", gone, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
