package audittest

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/cmd/internal/ports"
	endpoints "github.com/kitmesh/kitmesh/endpoints/gateway"
	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/services/pricing"
	"github.com/kitmesh/kitmesh/services/shipping"
	transport "github.com/kitmesh/kitmesh/transports/gateway"
)

// envReport names a file for the report of TestShop.
const envReport = "KITMESH_AUDIT_REPORT"

// TestShop wires the services in one process, two instances of those that keep
// state, over a real broker and a provider that declines and loses answers,
// sends customers for a moment, and audits. TestBugs runs it with bugs in.
func TestShop(t *testing.T) {
	s := newShop(t)
	history := filepath.Join(t.TempDir(), "history.jsonl")
	result := s.customers(history)
	t.Logf("%d requests, %d orders, not sold %v, failures %v, p99 %.0f ms", result.Requests, result.Orders, result.Business, result.Failures, result.P99)
	if result.Orders < 30 {
		t.Errorf("only %d orders: nothing is shown", result.Orders)
	}
	report := s.audit(history)
	if file := os.Getenv(envReport); file != "" {
		data, err := json.Marshal(report)
		must(t, err)
		must(t, os.WriteFile(file, data, 0o600))
	}
	if !report.Held() {
		_ = report.WriteText(t.Output())
		t.Errorf("%d violations", report.Violations)
	}
	for _, c := range report.Checks {
		if c.Checked == 0 || c.Skipped != "" {
			t.Errorf("%s looked at %d things (%s)", c.Name, c.Checked, c.Skipped)
		}
	}
}

// shop is a whole shop in this process.
type shop struct {
	t        *testing.T
	url      string
	broker   *broker.Client
	provider *provider.Client
	start    map[string]int
}

// sortiment is how many products are for sale.
const sortiment = 6

func newShop(t *testing.T) *shop {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	p, err := provider.Start(t.Context(), provider.Options{
		Ledger:      filepath.Join(t.TempDir(), "ledger.jsonl"),
		DeclineRate: 0.1, ErrorAfterRate: 0.3, LoseReplyRate: 0.1,
	})
	must(t, err)
	t.Cleanup(func() { must(t, p.Stop()) })
	s := &shop{t: t}
	s.broker, err = broker.Connect(t.Context(), b.URL(), broker.Options{Name: t.Name()})
	must(t, err)
	t.Cleanup(s.broker.Close)
	s.provider = s.card(p.URL(), 3)
	s.start, err = inventory.InitialStock()
	must(t, err)

	goods, err := catalog.New(catalog.V1)
	must(t, err)
	prices, err := pricing.New()
	must(t, err)
	journal := s.open("orders")
	// One instance leaves repetition to the saga, the other does it itself.
	cards := []*provider.Client{s.card(p.URL(), 1), s.provider}
	doors := make([]http.Handler, 2) // each to an instance of its own of every service
	for i := range doors {
		desk := shipping.New(s.open("shipments"), journal, ports.Shipping(prices), nil)
		s.background(desk.Run)
		ledger := s.ledger()
		needs := ports.Orders(ledger, payments.New(s.open("payments"), cards[i]), desk, prices)
		needs.Shipping = fullLorry{needs.Shipping}
		saga := orders.New(journal, needs, orders.Options{ResumeAfter: 300 * time.Millisecond})
		s.background(saga.Run)
		offers := ports.Gateway(goods, prices, ledger, desk, saga)
		offers.Catalog = window{offers.Catalog}
		doors[i] = transport.NewHandler(endpoints.New(gateway.New(offers, gateway.Options{}), unwrapped), nil)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doors[rand.IntN(len(doors))].ServeHTTP(w, r) // as the mesh does
	}))
	t.Cleanup(front.Close)
	s.url = front.URL
	return s
}

func unwrapped(_ string, e endpoint.Endpoint) endpoint.Endpoint { return e }

func (s *shop) open(name string) *broker.Journal {
	s.t.Helper()
	j, err := s.broker.Journal(s.t.Context(), name)
	must(s.t, err)
	return j
}

// card returns a client of the provider.
func (s *shop) card(url string, tries int) *provider.Client {
	s.t.Helper()
	c, err := provider.NewClient(url, provider.ClientOptions{Tries: tries})
	must(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// ledger starts one instance of inventory.
func (s *shop) ledger() inventory.Service {
	s.t.Helper()
	l := inventory.New(s.open("stock"), s.broker, s.start, inventory.Options{})
	s.background(l.Run)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := l.Ready(s.t.Context()); err == nil {
			return l
		} else if time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

// background runs f until the test ends.
func (s *shop) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	s.t.Cleanup(func() { cancel(); must(s.t, <-done) })
}

func (s *shop) customers(history string) load.Result {
	s.t.Helper()
	mix, err := load.ParseMix("browse=40,checkout=60")
	must(s.t, err)
	file, err := os.Create(history)
	must(s.t, err)
	defer file.Close()
	result, err := load.Run(s.t.Context(), load.Options{
		URL: s.url, Rate: 100, Duration: 2 * time.Second, Mix: mix, Arrivals: load.Poisson,
		BrowseDeadline: 20 * time.Second, CheckoutDeadline: 20 * time.Second,
		Probes: 0.4, VerifyOrders: true, History: file,
	})
	must(s.t, err)
	return result
}

func (s *shop) audit(history string) audit.Report {
	s.t.Helper()
	file, err := os.Open(history)
	must(s.t, err)
	defer file.Close()
	h, err := load.ReadHistory(file)
	must(s.t, err)
	evidence, err := audit.Collect(s.t.Context(), audit.Sources{
		Broker: s.broker, Provider: s.provider, Histories: []load.History{h}, Start: s.start,
		Waiting: func(text string) { s.t.Log(text) },
	})
	must(s.t, err)
	return audit.Run(evidence)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fullLorry refuses some orders for good, so that authorised money has to be
// given back.
type fullLorry struct{ orders.Shipping }

func (f fullLorry) Dispatch(ctx context.Context, id string, lines []orders.Line) error {
	h := fnv.New32a()
	h.Write([]byte(id))
	if h.Sum32()%6 == 0 {
		return fault.New(fault.Conflict, "the lorry is full")
	}
	return f.Shipping.Dispatch(ctx, id, lines)
}

// window shows few products, so that orders meet.
type window struct{ gateway.Catalog }

func (w window) Items(ctx context.Context, _ int, _ string) ([]gateway.Item, string, error) {
	items, _, err := w.Catalog.Items(ctx, sortiment, "")
	return items, "", err
}
