package inventory_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// gate stands before an instance's ways to the world. While it is closed the
// instance is as good as stopped: it hears nothing and sends nothing.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while the gate is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() { g.mu.Lock(); g.open = make(chan struct{}); g.mu.Unlock() }
func (g *gate) lift() { g.mu.Lock(); close(g.open); g.mu.Unlock() }
func (g *gate) pass(ctx context.Context) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

type gated struct {
	world
	gate *gate
	held atomic.Int64 // writes that wait at the gate
}

func (g *gated) Append(ctx context.Context, shard, kind string, event []byte, after uint64) (uint64, error) {
	g.held.Add(1)
	g.gate.pass(context.Background()) // a stopped process has no deadlines
	g.held.Add(-1)
	return g.Journal.Append(context.WithoutCancel(ctx), shard, kind, event, after)
}

func (g *gated) Follow(ctx context.Context, from uint64, handle func(string, uint64, []byte)) error {
	return g.Journal.Follow(ctx, from, func(shard string, seq uint64, event []byte) {
		g.gate.pass(ctx)
		handle(shard, seq, event)
	})
}

func (g *gated) Listen(address string, handle func(context.Context, []byte) []byte) (func(), error) {
	return g.Client.Listen(address, func(ctx context.Context, request []byte) []byte {
		g.gate.pass(ctx)
		return handle(ctx, request)
	})
}

var still = inventory.Options{BalanceEvery: -1}

// TestPausedOwnerCannotWrite stops an owner between its decision and its write.
// Another instance takes over and sells the last pots; the write of the first,
// when it goes on, comes too late.
func TestPausedOwnerCannotWrite(t *testing.T) {
	w := journal(t)
	slow := &gated{world: w, gate: newGate()}
	old := instanceOn(t, slow, slow, still)
	must(t, reserve(t, old, "a", lines(4, "limited-pot")))
	other := instanceOn(t, w.Journal, w.Client, still)
	must(t, reserve(t, other, "b", lines(1, "limited-pot"))) // through the owner
	if other.Owned() != 0 {
		t.Fatalf("the other instance owns %d shards already", other.Owned())
	}

	slow.gate.shut()
	late := make(chan error, 1)
	go func() { late <- reserve(t, old, "late", lines(5, "limited-pot")) }()
	eventually(t, "the decision of the old owner", func() bool { return slow.held.Load() > 0 })
	began := time.Now()
	must(t, reserve(t, other, "c", lines(5, "limited-pot")))
	took := time.Since(began)
	t.Logf("taken over after %s", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("the takeover took %s, want at most 2s", took)
	}
	slow.gate.lift()
	want(t, "the late order of the old owner", <-late, fault.Conflict)
	if old.Stats().Fenced.Load() == 0 {
		t.Error("the old owner's write was not refused")
	}
	eventually(t, "both agree", func() bool {
		s, err := old.Stock(t.Context(), inventory.StockRequest{SKU: "limited-pot"})
		return err == nil && s.Available == 0 && s.Reserved == 10
	})
	audit(t, w)
}

// TestPausedOwnerRefusesNothing: what an owner that was stopped believes is no
// reason to refuse an order.
func TestPausedOwnerRefusesNothing(t *testing.T) {
	w := journal(t)
	slow := &gated{world: w, gate: newGate()}
	old := instanceOn(t, slow, slow, still)
	must(t, reserve(t, old, "a", lines(10, "limited-pot")))
	other := instanceOn(t, w.Journal, w.Client, still)
	slow.gate.shut()
	must(t, release(t, other, "a", lines(10, "limited-pot")))
	// Its copy of the journal still stands before the release; nothing is
	// written for a refusal, so nothing is fenced.
	must(t, reserve(t, &deaf{old, slow.gate}, "b", lines(10, "limited-pot")))
	audit(t, w)
}

// deaf opens the gate only when the instance has been asked.
type deaf struct {
	*inventory.Ledger
	gate *gate
}

func (d *deaf) Reserve(ctx context.Context, r inventory.ReserveRequest) (inventory.Reservation, error) {
	time.AfterFunc(50*time.Millisecond, d.gate.lift)
	return d.Ledger.Reserve(ctx, r)
}

// TestOwnerDiesRightAfterItsClaim leaves a shard with an owner that never wrote.
func TestOwnerDiesRightAfterItsClaim(t *testing.T) {
	w := journal(t)
	l := instance(t, w)
	must(t, reserve(t, l, "a", lines(1, "cup")))
	var shard string
	var last uint64
	must(t, w.Latest(t.Context(), func(key, _ string, seq uint64, _ []byte) { shard, last = key, seq }))
	_, err := w.Append(t.Context(), shard, "claim", []byte(`{"by":"dead/x","claim":{"owner":"dead/x"}}`), last)
	must(t, err)
	began := time.Now()
	must(t, commit(t, l, "a", lines(1, "cup")))
	if took := time.Since(began); took > time.Second {
		t.Errorf("the takeover took %s", took)
	}
	stock(t, l, "cup", 99, 0, 1)
	audit(t, w)
}

// robbed has another instance claim a shard right after the owner wrote its first
// list of settled holds, and the owner hear of it at once.
type robbed struct {
	world
	once  sync.Once
	heard chan uint64
}

func (r *robbed) Append(ctx context.Context, shard, kind string, event []byte, after uint64) (uint64, error) {
	seq, err := r.Journal.Append(ctx, shard, kind, event, after)
	if err != nil || kind != "settled" {
		return seq, err
	}
	r.once.Do(func() {
		var claim uint64
		claim, err = r.Journal.Append(ctx, shard, "claim", []byte(`{"by":"thief/x","claim":{"owner":"thief/x"}}`), seq)
		for heard := uint64(0); err == nil && heard < claim; {
			select {
			case heard = <-r.heard:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	})
	return seq, err
}

func (r *robbed) Follow(ctx context.Context, from uint64, handle func(string, uint64, []byte)) error {
	return r.Journal.Follow(ctx, from, func(shard string, seq uint64, event []byte) {
		handle(shard, seq, event)
		r.heard <- seq
	})
}

// TestClaimedBeforeTheCheckpoint takes the shard from an owner that has written
// the list and not yet the checkpoint behind it. The checkpoint would be right,
// but it is no longer the owner's to write.
func TestClaimedBeforeTheCheckpoint(t *testing.T) {
	w := journal(t)
	r := &robbed{world: w, heard: make(chan uint64, 10_000)}
	l := instanceOn(t, r, w.Client, still)
	sell(t, l, "cup", 0, 70)
	if l.Stats().Takeovers.Load() != 2 {
		t.Errorf("%d takeovers, want one at the beginning and one from the thief", l.Stats().Takeovers.Load())
	}
	stock(t, l, "cup", 100-63, 0, 63)
	audit(t, w)
}

// TestRivals has many instances want the same shards at the same moment.
func TestRivals(t *testing.T) {
	w := journal(t)
	rivals := make([]*inventory.Ledger, 5)
	for i := range rivals {
		rivals[i] = instanceOn(t, w.Journal, w.Client, still)
	}
	var wg sync.WaitGroup
	for i, l := range rivals {
		wg.Go(func() { must(t, reserve(t, l, fmt.Sprint("k", i), lines(2, "limited-pot", "cup", "tea"))) })
	}
	wg.Wait()
	eventually(t, "one owner for each shard", func() bool {
		n := 0
		for _, l := range rivals {
			n += l.Owned()
		}
		return n == 3
	})
	stock(t, rivals[0], "limited-pot", 0, 10, 0)
	audit(t, w)
}

// TestBalance has an instance that comes late take its share, while orders go
// on, and one that leaves give its shards up.
func TestBalance(t *testing.T) {
	w := journal(t)
	initial := map[string]int{}
	var all []inventory.Line
	for i := range 90 {
		sku := fmt.Sprint("sku-", i)
		initial[sku] = 10
		all = append(all, inventory.Line{SKU: sku, Quantity: 1})
	}
	quick := inventory.Options{BalanceEvery: 10 * time.Millisecond}
	first := inventory.New(w.Journal, w.Client, initial, quick)
	start(t, first)
	must(t, reserve(t, first, "a", all))
	if first.Owned() != 16 {
		t.Fatalf("the only instance owns %d shards", first.Owned())
	}
	second := inventory.New(w.Journal, w.Client, initial, quick)
	stop := start(t, second)
	for orders := 0; second.Owned() < 8 || first.Owned() != 8; orders++ {
		if orders == 500 {
			t.Fatalf("%d and %d shards", first.Owned(), second.Owned())
		}
		must(t, reserve(t, first, fmt.Sprint("k", orders), all[orders%90:][:1]))
		must(t, release(t, second, fmt.Sprint("k", orders), all[orders%90:][:1]))
	}
	must(t, commit(t, second, "a", all))
	stop()
	began := time.Now()
	must(t, commit(t, first, "a", all))
	if took := time.Since(began); took > time.Second {
		t.Errorf("%s until what was given up was found", took)
	}
}
