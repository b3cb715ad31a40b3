package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sources are a real broker and a real provider, both empty.
func sources(t *testing.T) Sources {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	p, err := provider.Start(t.Context(), provider.Options{Ledger: filepath.Join(t.TempDir(), "ledger.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, p.Stop()) })
	var s Sources
	s.Broker, err = broker.Connect(t.Context(), b.URL(), broker.Options{Name: t.Name()})
	must(t, err)
	t.Cleanup(s.Broker.Close)
	s.Provider, err = provider.NewClient(p.URL(), provider.ClientOptions{})
	must(t, err)
	t.Cleanup(s.Provider.Close)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writer writes the events of one order.
type writer struct {
	t   *testing.T
	j   *broker.Journal
	o   Order
	seq uint64
}

func newWriter(t *testing.T, s Sources, id string) *writer {
	t.Helper()
	j, err := s.Broker.Journal(t.Context(), "orders")
	must(t, err)
	return &writer{t: t, j: j, o: Order{ID: id, Key: "key-" + id, Lines: tea, Total: Money{500, "EUR"}}}
}

func (w *writer) become(status string) {
	w.t.Helper()
	w.o.Status = status
	w.o.Revision++
	data, err := json.Marshal(w.o)
	must(w.t, err)
	w.seq, err = w.j.Append(w.t.Context(), w.o.ID, "", data, w.seq)
	must(w.t, err)
}

func TestCollectNothing(t *testing.T) {
	e, err := Collect(t.Context(), sources(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := Run(e); !r.Held() || r.Orders != 0 {
		t.Errorf("%d orders, violations in %v", r.Orders, found(r))
	}
}

// TestCollectWaits: for the orders that were there, not for those that come, and
// it says for which.
func TestCollectWaits(t *testing.T) {
	s := sources(t)
	first := newWriter(t, s, "first")
	first.become(placed)
	var young *writer
	var said []string
	s.Waiting = func(text string) {
		if said = append(said, text); len(said) == 1 {
			young = newWriter(t, s, "young")
			young.become(placed)
			first.become(cancelling)
			first.become(cancelled)
		}
	}
	e, err := Collect(t.Context(), s)
	must(t, err)
	if len(said) == 0 || !strings.HasPrefix(said[0], "waiting for 1 orders to end, such as first (placed), for 0 s of 30") {
		t.Errorf("said %q", said)
	}
	if len(e.Orders) != 4 || e.Cut != 1 {
		t.Errorf("%d events, cut at %d", len(e.Orders), e.Cut)
	}
	if r := Run(e); !r.Held() || r.Orders != 1 {
		t.Errorf("%d orders, violations in %v", r.Orders, found(r))
	}
}

func TestCollectLosesPatience(t *testing.T) {
	s := sources(t)
	newWriter(t, s, "stuck").become(placed)
	s.Patience = 150 * time.Millisecond
	e, err := Collect(t.Context(), s)
	must(t, err)
	if r := Run(e); fmt.Sprint(found(r)) != "[sagas]" {
		t.Errorf("violations in %v", found(r))
	}
}

func TestCollectFailsRatherThanGuess(t *testing.T) {
	t.Run("an event that is none", func(t *testing.T) {
		s := sources(t)
		j, err := s.Broker.Journal(t.Context(), "payments")
		must(t, err)
		_, err = j.Append(t.Context(), "a", "", []byte("{"), 0)
		must(t, err)
		if _, err := Collect(t.Context(), s); err == nil || !strings.Contains(err.Error(), "event 1 of the journal payments cannot be read") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no provider", func(t *testing.T) {
		s := sources(t)
		var err error
		s.Provider, err = provider.NewClient("http://127.0.0.1:1", provider.ClientOptions{})
		must(t, err)
		if _, err := Collect(t.Context(), s); err == nil || !strings.Contains(err.Error(), "provider's ledger") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no broker", func(t *testing.T) {
		s := sources(t)
		var err error
		s.Broker, err = broker.Connect(t.Context(), "nats://127.0.0.1:1", broker.Options{})
		must(t, err)
		t.Cleanup(s.Broker.Close)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := Collect(ctx, s); err == nil || !strings.Contains(err.Error(), "open the journal orders") {
			t.Errorf("error %v", err)
		}
	})
}
