package orders_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/inventory"
	"github.com/kitmesh/kitmesh/services/orders"
	"github.com/kitmesh/kitmesh/services/payments"
	"github.com/kitmesh/kitmesh/services/shipping"
)

// envServe makes the test binary a broker process: "addr dir".
const envServe = "KITMESH_TEST_BROKER"

func TestMain(m *testing.M) {
	if v := os.Getenv(envServe); v != "" {
		addr, dir, _ := strings.Cut(v, " ")
		if err := broker.Serve(context.Background(), broker.ServerOptions{Addr: addr, Dir: dir}, func(string) { fmt.Println("ready") }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// shop is everything around orders, for real: broker, provider and the three
// services the saga runs over. Only pricing is a stub.
type shop struct {
	t        testing.TB
	client   *broker.Client
	provider *provider.Client
	stock    *inventory.Ledger
	ports    orders.Ports
	journal  *broker.Journal
	initial  map[string]int
}

func newShop(t testing.TB, o provider.Options) *shop {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	return newShopOn(t, b.URL(), o)
}

// newShopOn is newShop on the broker at url.
func newShopOn(t testing.TB, url string, o provider.Options) *shop {
	t.Helper()
	o.Ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	p, err := provider.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, p.Stop()) })
	s := &shop{t: t, initial: map[string]int{"cup": 1000, "tea": 1000, "limited-pot": 3}}
	for i := range 200 {
		s.initial[fmt.Sprint("sku-", i)] = 100
	}
	s.client, err = broker.Connect(t.Context(), url, broker.Options{Name: t.Name()})
	must(t, err)
	t.Cleanup(s.client.Close)
	s.provider, err = provider.NewClient(p.URL(), provider.ClientOptions{Tries: 10})
	must(t, err)
	t.Cleanup(s.provider.Close)
	s.journal = s.open("orders")
	s.stock = inventory.New(s.open("stock"), s.client, s.initial, inventory.Options{})
	s.background(s.stock.Run)
	s.eventually("the stock ledger", func() bool { _, err := s.stock.Ready(t.Context()); return err == nil })
	desk := shipping.New(s.open("shipments"), s.journal, prices{}, nil)
	s.background(desk.Run)
	s.ports = orders.Ports{
		Inventory: goods{s.stock},
		Payments:  money{payments.New(s.open("payments"), s.provider)},
		Shipping:  parcels{desk},
		Pricing:   basket{},
	}
	return s
}

func (s *shop) open(name string) *broker.Journal {
	s.t.Helper()
	j, err := s.client.Journal(s.t.Context(), name)
	must(s.t, err)
	return j
}

// background runs f until the test ends.
func (s *shop) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	s.t.Cleanup(func() { cancel(); must(s.t, <-done) })
}

func (s *shop) eventually(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// final waits until every order ever placed is final and returns them.
func (s *shop) final() map[string]orders.Order {
	s.t.Helper()
	seen := s.replay()
	s.eventually("final orders", func() bool {
		seen = s.replay()
		for _, o := range seen {
			if !o.Status.Final() {
				return false
			}
		}
		return true
	})
	return seen
}

// audit checks what must hold between orders, money and stock once all orders
// are final.
func (s *shop) audit() {
	s.t.Helper()
	all := s.final()
	entries, err := s.provider.Ledger(s.t.Context())
	must(s.t, err)
	effects := map[string]int{}
	for _, e := range entries {
		if !e.Declined {
			effects[e.Key]++
		}
	}
	shipped := map[string]int{}
	for id, o := range all {
		auth, capture, void := effects[id+"/authorise"], effects[id+"/capture"], effects[id+"/void"]
		confirmed := o.Status == orders.Confirmed
		if confirmed && (auth != 1 || capture != 1 || void != 0) || !confirmed && (capture != 0 || auth != void) {
			s.t.Errorf("order %s is %s with %d authorisations, %d captures, %d voids", id, o.Status, auth, capture, void)
		}
		for _, l := range o.Lines {
			if confirmed {
				shipped[l.SKU] += l.Quantity
			}
		}
	}
	for sku := range s.initial {
		st, err := s.stock.Stock(s.t.Context(), inventory.StockRequest{SKU: sku})
		must(s.t, err)
		if st.Shipped != shipped[sku] || st.Reserved != 0 {
			s.t.Errorf("%s: %d shipped, %d reserved; the orders say %d and 0", sku, st.Shipped, st.Reserved, shipped[sku])
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The adapters below do what cmd does with clients of the other services.

type goods struct{ s inventory.Service }

func (g goods) lines(in []orders.Line) (out []inventory.Line) {
	for _, l := range in {
		out = append(out, inventory.Line(l))
	}
	return out
}

func (g goods) Reserve(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.s.Reserve(ctx, inventory.ReserveRequest{Key: id, Lines: g.lines(lines)})
	return err
}

func (g goods) Commit(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.s.Commit(ctx, inventory.SettleRequest{Key: id, Lines: g.lines(lines)})
	return err
}

func (g goods) Release(ctx context.Context, id string, lines []orders.Line) error {
	_, err := g.s.Release(ctx, inventory.SettleRequest{Key: id, Lines: g.lines(lines)})
	return err
}

type money struct{ s payments.Service }

func (m money) Authorise(ctx context.Context, id string, amount orders.Money) error {
	_, err := m.s.Authorise(ctx, payments.AuthoriseRequest{OrderID: id, Amount: payments.Money(amount)})
	return err
}

func (m money) Capture(ctx context.Context, id string) error {
	_, err := m.s.Capture(ctx, payments.SettleRequest{OrderID: id})
	return err
}

func (m money) Void(ctx context.Context, id string) error {
	_, err := m.s.Void(ctx, payments.SettleRequest{OrderID: id})
	return err
}

type parcels struct{ s shipping.Service }

func (p parcels) lines(in []orders.Line) (out []shipping.Line) {
	for _, l := range in {
		out = append(out, shipping.Line(l))
	}
	return out
}

func (p parcels) Quote(ctx context.Context, lines []orders.Line) (orders.Money, error) {
	q, err := p.s.Quote(ctx, shipping.QuoteRequest{Lines: p.lines(lines)})
	return orders.Money(q.Cost), err
}

func (p parcels) Dispatch(ctx context.Context, id string, lines []orders.Line) error {
	_, err := p.s.Dispatch(ctx, shipping.DispatchRequest{OrderID: id, Lines: p.lines(lines)})
	return err
}

func (p parcels) Cancel(ctx context.Context, id string) error {
	_, err := p.s.Cancel(ctx, shipping.CancelRequest{OrderID: id})
	return err
}

// prices and basket stub pricing: everything costs 10 euro.
type prices struct{}

func (prices) Value(_ context.Context, lines []shipping.Line) (shipping.Money, error) {
	total := 0
	for _, l := range lines {
		total += l.Quantity
	}
	return shipping.Money{Amount: int64(total) * 1000, Currency: "EUR"}, nil
}

type basket struct{}

func (basket) Value(_ context.Context, lines []orders.Line) (orders.Money, error) {
	total := 0
	for _, l := range lines {
		if l.SKU == "nothing" {
			return orders.Money{}, notFound(l.SKU)
		}
		total += l.Quantity
	}
	return orders.Money{Amount: int64(total) * 1000, Currency: "EUR"}, nil
}

// replay reads the whole journal and returns the last state of every order, and
// fails the test when an order's revisions have a gap.
func (s *shop) replay() map[string]orders.Order {
	s.t.Helper()
	tail, err := s.journal.Tail(s.t.Context())
	must(s.t, err)
	last := map[string]orders.Order{}
	revisions := map[string]int{}
	if tail == 0 {
		return last
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	var once sync.Once
	must(s.t, s.journal.Follow(ctx, 0, func(key string, seq uint64, event []byte) {
		o, revision := decode(s.t, event)
		if revisions[key]++; revision != revisions[key] {
			s.t.Errorf("order %s: revision %d came as %d", key, revision, revisions[key])
		}
		last[key] = o
		if seq >= tail {
			once.Do(cancel)
		}
	}))
	return last
}
