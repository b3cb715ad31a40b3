package inventory_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// counting counts the events that a reader gets.
type counting struct {
	inventory.Journal
	read *atomic.Int64
}

func (j counting) Latest(ctx context.Context, handle func(string, string, uint64, []byte)) error {
	return j.Journal.Latest(ctx, func(shard, kind string, seq uint64, event []byte) {
		j.read.Add(1)
		handle(shard, kind, seq, event)
	})
}

func (j counting) Read(ctx context.Context, shard string, kinds []string, from uint64, handle func(uint64, []byte)) error {
	return j.Journal.Read(ctx, shard, kinds, from, func(seq uint64, event []byte) {
		j.read.Add(1)
		handle(seq, event)
	})
}

// sell reserves and settles many orders of one SKU, one after the other: each
// is two events.
func sell(t testing.TB, l *inventory.Ledger, sku string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		key, ls := fmt.Sprint("order-", i), lines(1, sku)
		must(t, reserve(t, l, key, ls))
		if i%10 == 0 {
			must(t, release(t, l, key, ls))
		} else {
			must(t, commit(t, l, key, ls))
		}
	}
}

// TestRestartCostsNoMoreLater restarts after few and after many orders: what is
// read does not grow, and nothing is forgotten.
func TestRestartCostsNoMoreLater(t *testing.T) {
	w := journal(t)
	l := instance(t, w)
	must(t, reserve(t, l, "open", lines(2, "cup")))
	restart := func(what string) int64 {
		t.Helper()
		var read atomic.Int64
		late := instanceOn(t, counting{w.Journal, &read}, w.Client, inventory.Options{BalanceEvery: -1})
		n := read.Load()
		t.Logf("%s: %d events read", what, n)
		s, err := late.Stock(t.Context(), inventory.StockRequest{SKU: "cup"})
		must(t, err)
		if here, err := l.Stock(t.Context(), inventory.StockRequest{SKU: "cup"}); err != nil || here != s {
			t.Errorf("%s: %+v after the restart, %+v at the owner", what, s, here)
		}
		return n
	}
	sell(t, l, "cup", 0, 30)
	few := restart("after 30 orders")
	sell(t, l, "cup", 30, 250)
	if many := restart("after 250 orders"); many > few+100 || many > 150 {
		t.Errorf("a restart reads %d events after 250 orders, %d after 30", many, few)
	}
	audit(t, w)
}

// TestTakeoverRemembers has an instance that began after a checkpoint take a
// shard: what was settled before is known to it.
func TestTakeoverRemembers(t *testing.T) {
	w := journal(t)
	first := inventory.New(w.Journal, w.Client, shelves, inventory.Options{})
	stop := start(t, first)
	sell(t, first, "cup", 0, 250)
	if first.Stats().Checkpoints.Load() < 4 {
		t.Fatalf("%d checkpoints, nothing is shown", first.Stats().Checkpoints.Load())
	}
	stop()
	second := instance(t, w)
	one := lines(1, "cup")
	for i := range 250 {
		key := fmt.Sprint("order-", i)
		if i%10 == 0 {
			must(t, release(t, second, key, one))
			want(t, "commit of what was released", commit(t, second, key, one), fault.Conflict)
		} else {
			must(t, commit(t, second, key, one))
			want(t, "release of what was shipped", release(t, second, key, one), fault.Conflict)
		}
	}
	sell(t, second, "cup", 250, 350) // and its own checkpoints know the lists before
	third := instance(t, w)
	must(t, commit(t, third, "order-1", one))
	audit(t, w)
}

// TestNotReadyBeforeTheReplay refuses to answer before the journal is read.
func TestNotReadyBeforeTheReplay(t *testing.T) {
	w := journal(t)
	must(t, reserve(t, instance(t, w), "held", lines(1, "cup")))
	stuck := stuck{Journal: w.Journal, entered: make(chan struct{})}
	l := inventory.New(stuck, w.Client, shelves, inventory.Options{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	<-stuck.entered
	want(t, "reserve before the replay", reserve(t, l, "gone", lines(1, "cup")), fault.Unavailable)
	cancel()
	must(t, <-done)
}

// stuck never delivers the replay.
type stuck struct {
	inventory.Journal
	entered chan struct{}
}

func (s stuck) Read(ctx context.Context, _ string, _ []string, _ uint64, _ func(uint64, []byte)) error {
	close(s.entered)
	<-ctx.Done()
	return ctx.Err()
}

// TestOtherLedgersAreRefused starts on journals of other versions.
func TestOtherLedgersAreRefused(t *testing.T) {
	for _, key := range []string{"cup", "of8-01"} {
		w := journal(t)
		_, err := w.Append(t.Context(), key, "", []byte(`{"kind":"reserved","key":"k","quantity":1,"shelf":{"sku":"cup"}}`), 0)
		must(t, err)
		err = inventory.New(w.Journal, w.Client, shelves, inventory.Options{}).Run(t.Context())
		want(t, "a journal with the key "+key, err, fault.Internal)
	}
}

// TestBatches has many orders of one SKU at once share events.
func TestBatches(t *testing.T) {
	w := journal(t)
	l := instance(t, w)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { must(t, reserve(t, l, fmt.Sprint("k", i), lines(1, "cup"))) })
	}
	wg.Wait()
	stock(t, l, "cup", 76, 100, 0) // filled up on the way
	s := l.Stats()
	t.Logf("%d requests in %d events", s.Requests.Load(), s.Events.Load())
	if s.Requests.Load() != 100 || s.Events.Load() > 50 {
		t.Errorf("%d requests in %d events, want 100 in far fewer", s.Requests.Load(), s.Events.Load())
	}
	audit(t, w)
}
