package inventory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/inventory"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envInstance); url != "" {
		if err := runInstance(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

var shelves = map[string]int{"cup": 100, "tea": 40, "bell": 0, "limited-pot": 10}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %q", what, err, code)
	}
}

// world is a broker with a stock journal.
type world struct {
	*broker.Journal
	*broker.Client
	url string
}

func journal(t testing.TB) world {
	t.Helper()
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	return connect(t, s.URL())
}

// connect returns a connection of its own.
func connect(t testing.TB, url string) world {
	t.Helper()
	c, err := broker.Connect(t.Context(), url, broker.Options{})
	must(t, err)
	t.Cleanup(c.Close)
	j, err := c.Journal(t.Context(), "stock")
	must(t, err)
	return world{j, c, url}
}

// instance runs one instance until the test ends and waits until it is ready.
func instance(t testing.TB, w world) *inventory.Ledger {
	t.Helper()
	return instanceOn(t, w.Journal, w.Client, inventory.Options{})
}

func instanceOn(t testing.TB, j inventory.Journal, x inventory.Exchange, o inventory.Options) *inventory.Ledger {
	t.Helper()
	l := inventory.New(j, x, shelves, o)
	start(t, l)
	return l
}

// start runs l until the test ends, or until stop is called.
func start(t testing.TB, l *inventory.Ledger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); must(t, <-done) })
	t.Cleanup(stop)
	eventually(t, "the instance is ready", func() bool { _, err := l.Ready(t.Context()); return err == nil })
	return stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func lines(quantity int, skus ...string) (ls []inventory.Line) {
	for _, sku := range skus {
		ls = append(ls, inventory.Line{SKU: sku, Quantity: quantity})
	}
	return ls
}

func reserve(t testing.TB, l inventory.Service, key string, ls []inventory.Line) error {
	t.Helper()
	_, err := l.Reserve(t.Context(), inventory.ReserveRequest{Key: key, Lines: ls})
	return err
}

func commit(t testing.TB, l inventory.Service, key string, ls []inventory.Line) error {
	t.Helper()
	_, err := l.Commit(t.Context(), inventory.SettleRequest{Key: key, Lines: ls})
	return err
}

func release(t testing.TB, l inventory.Service, key string, ls []inventory.Line) error {
	t.Helper()
	_, err := l.Release(t.Context(), inventory.SettleRequest{Key: key, Lines: ls})
	return err
}

// stock waits for a level: an instance hears of what the owner wrote a moment
// later.
func stock(t testing.TB, l *inventory.Ledger, sku string, available, reserved, shipped int) {
	t.Helper()
	want := inventory.Stock{SKU: sku, Available: available, Reserved: reserved, Shipped: shipped}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := l.Stock(t.Context(), inventory.StockRequest{SKU: sku})
		must(t, err)
		if s == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want %+v", s, want)
		}
	}
}

// audit replays the ledger, checks the balance after every event and that only
// owners wrote.
func audit(t *testing.T, j world) {
	t.Helper()
	owners := map[string]string{}
	must(t, j.Replay(t.Context(), 1, func(ev broker.Stored) {
		var e struct {
			By      string
			Claim   *struct{ Owner string }
			Shelves map[string]struct{ Initial, Restocked, Available, Reserved, Shipped int }
		}
		must(t, json.Unmarshal(ev.Data, &e))
		if e.Claim != nil {
			owners[ev.Key] = e.Claim.Owner
		} else if e.By != owners[ev.Key] {
			t.Errorf("event %d of %s is by %q, the owner is %q", ev.Seq, ev.Key, e.By, owners[ev.Key])
		}
		for sku, s := range e.Shelves {
			if s.Initial+s.Restocked != s.Available+s.Reserved+s.Shipped || s.Available < 0 || s.Reserved < 0 || s.Initial != shelves[sku] {
				t.Errorf("event %d of %s does not balance: %+v", ev.Seq, sku, s)
			}
		}
	}))
}

func TestReserveCommitRelease(t *testing.T) {
	j := journal(t)
	l := instance(t, j)
	ls := lines(5, "tea", "cup")
	for range 2 { // every step twice
		must(t, reserve(t, l, "a", ls))
		stock(t, l, "cup", 95, 5, 0)
	}
	want(t, "the same hold with other quantities", reserve(t, l, "a", lines(6, "cup")), fault.KeyReused)
	for range 2 {
		must(t, commit(t, l, "a", ls))
		stock(t, l, "cup", 95, 0, 5)
		stock(t, l, "tea", 35, 0, 5)
	}
	want(t, "release of a commit", release(t, l, "a", ls), fault.Conflict)
	r, err := l.Reserve(t.Context(), inventory.ReserveRequest{Key: "a", Lines: ls})
	if err != nil || r.Status != inventory.Committed {
		t.Errorf("a late repetition of Reserve: %+v, %v; want committed", r, err)
	}
	must(t, reserve(t, l, "b", ls))
	for range 2 {
		must(t, release(t, l, "b", ls))
		stock(t, l, "cup", 95, 0, 5)
	}
	want(t, "commit of a release", commit(t, l, "b", ls), fault.Conflict)
	want(t, "reserve after the release", reserve(t, l, "b", ls), fault.Conflict)
	want(t, "commit of nothing", commit(t, l, "c", ls), fault.NotFound)
	must(t, release(t, l, "d", ls))
	want(t, "reserve after a release of nothing", reserve(t, l, "d", ls), fault.Conflict)
	stock(t, l, "cup", 95, 0, 5)
	audit(t, j)
}

func TestAllOrNothing(t *testing.T) {
	j := journal(t)
	l := instance(t, j)
	ls := append(lines(3, "cup", "tea"), lines(11, "limited-pot")...)
	first := reserve(t, l, "a", ls)
	want(t, "one line sold out", first, fault.Conflict)
	stock(t, l, "cup", 100, 0, 0)
	stock(t, l, "limited-pot", 10, 0, 0)
	if again := reserve(t, l, "a", ls); fault.CodeOf(again) != fault.Conflict || fault.MessageOf(again) != fault.MessageOf(first) {
		t.Errorf("repeated: %v, first: %v; want the same answer", again, first)
	}
	want(t, "sold out from the start", reserve(t, l, "b", lines(1, "bell")), fault.Conflict)
	want(t, "an unknown SKU", reserve(t, l, "c", lines(1, "cup", "nothing")), fault.NotFound)
	stock(t, l, "cup", 100, 0, 0)
	audit(t, j)
}

func TestBadRequests(t *testing.T) {
	l := instance(t, journal(t))
	for name, req := range map[string]inventory.ReserveRequest{
		"no key":    {Lines: lines(1, "cup")},
		"long key":  {Key: string(make([]byte, 200)), Lines: lines(1, "cup")},
		"no lines":  {Key: "k"},
		"zero":      {Key: "k", Lines: lines(0, "cup")},
		"negative":  {Key: "k", Lines: lines(-1, "cup")},
		"huge":      {Key: "k", Lines: lines(1<<40, "cup")},
		"twice":     {Key: "k", Lines: lines(1, "cup", "cup")},
		"too many":  {Key: "k", Lines: make([]inventory.Line, 101)},
		"late zero": {Key: "k", Lines: append(lines(1, "cup"), lines(0, "tea")...)},
	} {
		_, err := l.Reserve(t.Context(), req)
		want(t, name, err, fault.Invalid)
	}
	_, err := l.Stock(t.Context(), inventory.StockRequest{SKU: "nothing"})
	want(t, "stock of nothing", err, fault.NotFound)
	stock(t, l, "cup", 100, 0, 0)

	idle := inventory.New(nil, nil, shelves, inventory.Options{}) // its Run never runs
	want(t, "reserve before the ledger is read", reserve(t, idle, "k", lines(1, "cup")), fault.Unavailable)
	_, err = idle.Stock(t.Context(), inventory.StockRequest{SKU: "cup"})
	want(t, "stock before the ledger is read", err, fault.Unavailable)
}

func TestRestock(t *testing.T) {
	j := journal(t)
	l := instance(t, j)
	must(t, reserve(t, l, "a", lines(75, "cup")))
	stock(t, l, "cup", 25, 75, 0) // the reorder point is 25
	must(t, reserve(t, l, "b", lines(1, "cup")))
	stock(t, l, "cup", 100, 76, 0)
	must(t, reserve(t, l, "c", lines(60, "cup")))
	must(t, reserve(t, l, "d", lines(90, "cup"))) // 40 left, filled up first, and again after
	stock(t, l, "cup", 100, 226, 0)
	want(t, "more than the shelf takes", reserve(t, l, "e", lines(101, "cup")), fault.Conflict)
	must(t, reserve(t, l, "f", lines(10, "limited-pot")))
	want(t, "a limited SKU", reserve(t, l, "g", lines(1, "limited-pot")), fault.Conflict)
	audit(t, j)
}

// TestTwoInstancesOversellNothing has many orders race for ten pots on two
// instances.
func TestTwoInstancesOversellNothing(t *testing.T) {
	j := journal(t)
	instances := []*inventory.Ledger{instance(t, j), instance(t, j)}
	var sold atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			err := reserve(t, instances[i%2], key, lines(1, "limited-pot", "cup"))
			if err == nil {
				sold.Add(1)
				// The other instance may not have heard of the hold yet.
				if err := commit(t, instances[(i+1)%2], key, lines(1, "limited-pot", "cup")); err != nil {
					t.Errorf("commit of %s: %v", key, err)
				}
			} else if fault.CodeOf(err) != fault.Conflict {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	wg.Wait()
	if sold.Load() != 10 {
		t.Errorf("%d pots sold, want 10", sold.Load())
	}
	for _, l := range instances {
		eventually(t, "both instances agree", func() bool {
			s, err := l.Stock(t.Context(), inventory.StockRequest{SKU: "limited-pot"})
			return err == nil && s.Available == 0 && s.Shipped == 10
		})
	}
	audit(t, j)
}

// TestRestartRemembers starts a new instance on an old ledger.
func TestRestartRemembers(t *testing.T) {
	j := journal(t)
	old := instance(t, j)
	ls := lines(2, "cup")
	must(t, reserve(t, old, "held", ls))
	must(t, reserve(t, old, "shipped", ls))
	must(t, commit(t, old, "shipped", ls))
	must(t, release(t, old, "gone", ls))
	l := instance(t, j)
	stock(t, l, "cup", 96, 2, 2)
	must(t, commit(t, l, "shipped", ls))
	want(t, "release of what the old instance shipped", release(t, l, "shipped", ls), fault.Conflict)
	want(t, "reserve of what the old instance released", reserve(t, l, "gone", ls), fault.Conflict)
	must(t, commit(t, l, "held", ls))
	stock(t, l, "cup", 96, 0, 4)
	audit(t, j)
}

// lossy loses the answers of some writes, before or after their effect.
type lossy struct{ inventory.Journal }

func (j lossy) Append(ctx context.Context, key, kind string, event []byte, after uint64) (uint64, error) {
	lost := fault.New(fault.Unavailable, "lost")
	switch rand.N(4) {
	case 0:
		return 0, lost
	case 1:
		if _, err := j.Journal.Append(ctx, key, kind, event, after); err != nil {
			return 0, err
		}
		return 0, lost
	}
	return j.Journal.Append(ctx, key, kind, event, after)
}

func TestLostAnswersHaveOneEffect(t *testing.T) {
	j := journal(t)
	l := instanceOn(t, lossy{j.Journal}, j.Client, inventory.Options{})
	again := func(f func() error) {
		t.Helper()
		for tries := 0; ; tries++ {
			if err := f(); fault.CodeOf(err) != fault.Unavailable || tries > 100 {
				must(t, err)
				return
			}
		}
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			key, ls := fmt.Sprint("k", i), lines(1, "cup", "tea")
			again(func() error { return reserve(t, l, key, ls) })
			if i%2 == 0 {
				again(func() error { return commit(t, l, key, ls) })
			} else {
				again(func() error { return release(t, l, key, ls) })
			}
		})
	}
	wg.Wait()
	eventually(t, "the last events", func() bool {
		s, err := l.Stock(t.Context(), inventory.StockRequest{SKU: "cup"})
		return err == nil && s.Reserved == 0
	})
	stock(t, l, "cup", 94, 0, 6)
	audit(t, j)
}

func TestInitialStock(t *testing.T) {
	stock, err := inventory.InitialStock()
	must(t, err)
	if len(stock) < 150 {
		t.Errorf("only %d SKUs", len(stock))
	}
}

// behind delivers events late, like an instance that was paused or starved.
type behind struct{ inventory.Journal }

func (j behind) Follow(ctx context.Context, from uint64, handle func(string, uint64, []byte)) error {
	return j.Journal.Follow(ctx, from, func(key string, seq uint64, event []byte) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		handle(key, seq, event)
	})
}

// TestRefusalsAreNotStale asks an instance that is behind about what another
// one just did: it must find out before it refuses.
func TestRefusalsAreNotStale(t *testing.T) {
	j := journal(t)
	quick, late := instance(t, j), instanceOn(t, behind{j.Journal}, j.Client, inventory.Options{})
	ls := lines(10, "limited-pot")
	must(t, reserve(t, quick, "a", ls))
	must(t, commit(t, late, "a", ls)) // it has not heard of the hold
	must(t, release(t, quick, "b", ls))
	want(t, "reserve on the late instance after a release", reserve(t, late, "b", ls), fault.Conflict)
	audit(t, j)
}
