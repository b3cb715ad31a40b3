package payments_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/payments"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %q", what, err, code)
	}
}

func setup(t *testing.T, o provider.Options) (*broker.Journal, *provider.Client) {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	c, err := broker.Connect(t.Context(), b.URL(), broker.Options{})
	must(t, err)
	t.Cleanup(c.Close)
	j, err := c.Journal(t.Context(), "payments")
	must(t, err)
	o.Ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	s, err := provider.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	p, err := provider.NewClient(s.URL(), provider.ClientOptions{Tries: 20})
	must(t, err)
	t.Cleanup(p.Close)
	return j, p
}

var ten = payments.Money{Amount: 1000, Currency: "EUR"}

func authorise(t *testing.T, c *payments.Cashier, id string, m payments.Money) (payments.Payment, error) {
	t.Helper()
	return c.Authorise(t.Context(), payments.AuthoriseRequest{OrderID: id, Amount: m})
}

func capture(t *testing.T, c *payments.Cashier, id string) (payments.Payment, error) {
	t.Helper()
	return c.Capture(t.Context(), payments.SettleRequest{OrderID: id})
}

func void(t *testing.T, c *payments.Cashier, id string) (payments.Payment, error) {
	t.Helper()
	return c.Void(t.Context(), payments.SettleRequest{OrderID: id})
}

// effects counts the provider's entries by key, and fails when one comes twice.
func effects(t *testing.T, p *provider.Client) map[string]provider.Entry {
	t.Helper()
	entries, err := p.Ledger(t.Context())
	must(t, err)
	byKey := map[string]provider.Entry{}
	for _, e := range entries {
		if _, twice := byKey[e.Key]; twice {
			t.Errorf("%s took effect twice", e.Key)
		}
		byKey[e.Key] = e
	}
	return byKey
}

func TestLifeOfAPayment(t *testing.T) {
	j, p := setup(t, provider.Options{})
	c := payments.New(j, p)
	_, err := capture(t, c, "o1")
	want(t, "capture of nothing", err, fault.NotFound)
	var first payments.Payment
	for i := range 3 {
		got, err := authorise(t, c, "o1", ten)
		must(t, err)
		if i == 0 {
			first = got
		}
		if got != first || got.Status != payments.Authorised || got.Reference == "" {
			t.Errorf("authorised %+v, first %+v", got, first)
		}
	}
	_, err = authorise(t, c, "o1", payments.Money{Amount: 999, Currency: "EUR"})
	want(t, "another amount", err, fault.KeyReused)
	for range 2 {
		got, err := capture(t, c, "o1")
		must(t, err)
		if got.Status != payments.Captured {
			t.Errorf("captured %+v", got)
		}
	}
	_, err = void(t, c, "o1")
	want(t, "void of a capture", err, fault.Conflict)

	_, err = authorise(t, c, "o2", ten)
	must(t, err)
	for range 2 {
		got, err := void(t, c, "o2")
		must(t, err)
		if got.Status != payments.Voided {
			t.Errorf("voided %+v", got)
		}
	}
	_, err = capture(t, c, "o2")
	want(t, "capture of a void", err, fault.Conflict)
	_, err = authorise(t, c, "o2", ten)
	want(t, "authorise after the void", err, fault.Conflict)

	_, err = void(t, c, "o3")
	must(t, err)
	_, err = authorise(t, c, "o3", ten)
	want(t, "authorise after a void of nothing", err, fault.Conflict)
	if got := effects(t, p); len(got) != 4 {
		t.Errorf("the provider has %d effects, want 4: %v", len(got), got)
	}
}

func TestDeclined(t *testing.T) {
	j, p := setup(t, provider.Options{DeclineRate: 1})
	c := payments.New(j, p)
	for range 2 {
		_, err := authorise(t, c, "o", ten)
		want(t, "authorise", err, fault.Declined)
	}
	_, err := capture(t, c, "o")
	want(t, "capture", err, fault.NotFound)
	_, err = void(t, c, "o")
	must(t, err)
	_, err = authorise(t, c, "o", ten)
	want(t, "authorise after the void", err, fault.Declined)
}

func TestBadRequests(t *testing.T) {
	j, p := setup(t, provider.Options{})
	c := payments.New(j, p)
	for _, m := range []payments.Money{{}, {Amount: -1, Currency: "EUR"}, {Amount: 1}, {Amount: 1, Currency: "EURO"}} {
		_, err := authorise(t, c, "o", m)
		want(t, fmt.Sprintf("authorise %+v", m), err, fault.Invalid)
	}
	for _, id := range []string{"", string(make([]byte, 200))} {
		_, err := authorise(t, c, id, ten)
		want(t, "authorise", err, fault.Invalid)
		_, err = capture(t, c, id)
		want(t, "capture", err, fault.Invalid)
		_, err = void(t, c, id)
		want(t, "void", err, fault.Invalid)
	}
}

// dying fails like an instance that is killed before or after the effect of a
// call to the provider.
type dying struct {
	payments.Provider
	after bool
}

var errDead = fault.New(fault.Unavailable, "dead")

func (d dying) Authorise(ctx context.Context, key string, amount int64, currency string) (string, error) {
	if d.after {
		_, err := d.Provider.Authorise(ctx, key, amount, currency)
		if err != nil {
			return "", err
		}
	}
	return "", errDead
}

func (d dying) Capture(ctx context.Context, key, reference string) error {
	if d.after {
		if err := d.Provider.Capture(ctx, key, reference); err != nil {
			return err
		}
	}
	return errDead
}

func (d dying) Void(ctx context.Context, key, reference string) error {
	if d.after {
		if err := d.Provider.Void(ctx, key, reference); err != nil {
			return err
		}
	}
	return errDead
}

// TestAnotherInstanceFinishes kills an instance around every call to the
// provider; the next one finishes under the same keys.
func TestAnotherInstanceFinishes(t *testing.T) {
	j, p := setup(t, provider.Options{})
	healthy := payments.New(j, p)
	for _, after := range []bool{false, true} {
		doomed := payments.New(j, dying{p, after})
		taken, given := fmt.Sprint("taken-", after), fmt.Sprint("given-", after)
		unsure := fmt.Sprint("unsure-", after)

		_, err := authorise(t, doomed, taken, ten)
		want(t, "authorise", err, fault.Unavailable)
		_, err = authorise(t, healthy, taken, ten)
		must(t, err)
		_, err = capture(t, doomed, taken)
		want(t, "capture", err, fault.Unavailable)
		_, err = capture(t, healthy, taken)
		must(t, err)

		_, err = authorise(t, healthy, given, ten)
		must(t, err)
		_, err = void(t, doomed, given)
		want(t, "void", err, fault.Unavailable)
		_, err = void(t, healthy, given)
		must(t, err)

		// Nobody knows whether it was authorised; void must leave nothing held.
		_, err = authorise(t, doomed, unsure, ten)
		want(t, "authorise", err, fault.Unavailable)
		_, err = void(t, healthy, unsure)
		must(t, err)
		_, err = authorise(t, healthy, unsure, ten)
		want(t, "authorise after the void", err, fault.Conflict)

		got := effects(t, p)
		for _, key := range []string{taken + "/capture", given + "/void", unsure + "/void"} {
			if _, ok := got[key]; !ok {
				t.Errorf("the provider has no %s", key)
			}
		}
	}
}

// TestManyCallersOneCharge races two instances over a flaky provider.
func TestManyCallersOneCharge(t *testing.T) {
	j, p := setup(t, provider.Options{ErrorRate: 0.1, ErrorAfterRate: 0.1, LoseReplyRate: 0.1})
	instances := []*payments.Cashier{payments.New(j, p), payments.New(j, p)}
	var wg sync.WaitGroup
	for i := range 10 {
		id := fmt.Sprint("o", i)
		for caller := range 4 {
			wg.Go(func() {
				c := instances[caller%2]
				if _, err := authorise(t, c, id, ten); err != nil {
					t.Errorf("authorise %s: %v", id, err)
				}
				if _, err := capture(t, c, id); err != nil {
					t.Errorf("capture %s: %v", id, err)
				}
			})
		}
	}
	wg.Wait()
	if n := len(effects(t, p)); n != 20 {
		t.Errorf("the provider has %d effects, want 20", n)
	}
}

// TestVoidRacesCapture lets exactly one of the two win.
func TestVoidRacesCapture(t *testing.T) {
	j, p := setup(t, provider.Options{})
	c := payments.New(j, p)
	for i := range 10 {
		id := fmt.Sprint("o", i)
		_, err := authorise(t, c, id, ten)
		must(t, err)
		var captured, voided error
		var wg sync.WaitGroup
		wg.Go(func() { _, captured = capture(t, c, id) })
		wg.Go(func() { _, voided = void(t, c, id) })
		wg.Wait()
		if (captured == nil) == (voided == nil) {
			t.Errorf("%s: capture said %v, void said %v; one must win", id, captured, voided)
		}
	}
	byReference := map[string]int{}
	for key, e := range effects(t, p) {
		if e.Op != provider.OpAuthorise {
			if byReference[e.Reference]++; byReference[e.Reference] > 1 {
				t.Errorf("%s: captured and voided", key)
			}
		}
	}
}
