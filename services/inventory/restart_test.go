package inventory_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// archive is a journal with a past, read-only: what a restart reads of it.
type archive struct {
	t      *testing.T
	events []archived

	replayed map[uint64]bool
	since    time.Time
}

type archived struct {
	seq   uint64
	sku   string
	at    time.Time
	event string
}

func (a *archive) Append(context.Context, string, string, []byte, uint64) (uint64, error) {
	a.t.Error("the restart wrote something")
	return 0, fault.New(fault.Internal, "read-only")
}

func (a *archive) Last(_ context.Context, sku string) (event []byte, seq uint64, err error) {
	err = fault.New(fault.NotFound, "no event of %s", sku)
	for _, e := range a.events {
		if e.sku == sku {
			event, seq, err = []byte(e.event), e.seq, nil
		}
	}
	return event, seq, err
}

func (a *archive) Latest(ctx context.Context, handle func(string, uint64, []byte)) (at time.Time, err error) {
	for _, e := range a.events {
		if _, last, _ := a.Last(ctx, e.sku); last == e.seq {
			handle(e.sku, e.seq, []byte(e.event))
			at = e.at
		}
	}
	return at, nil
}

func (a *archive) Follow(ctx context.Context, since time.Time, handle func(string, uint64, []byte)) error {
	a.since, a.replayed = since, map[uint64]bool{}
	for _, e := range a.events {
		if !e.at.Before(since) {
			a.replayed[e.seq] = true
			handle(e.sku, e.seq, []byte(e.event))
		}
	}
	<-ctx.Done()
	return nil
}

// add writes what happened to a key's hold of one unit some time ago.
func (a *archive) add(ago time.Duration, sku, kind, key string, shelf map[string]any) {
	a.t.Helper()
	at := time.Now().Add(-ago)
	shelf["sku"] = sku
	data, err := json.Marshal(map[string]any{"kind": kind, "key": key, "quantity": 1, "at": at, "shelf": shelf})
	must(a.t, err)
	a.events = append(a.events, archived{uint64(len(a.events) + 1), sku, at, string(data)})
}

// TestRestartReadsOneHour starts on an old ledger: the shelves come from the
// last event of each SKU, however old, and the keys settled within the last hour
// are remembered, those before are not even read.
func TestRestartReadsOneHour(t *testing.T) {
	a := &archive{t: t}
	a.add(72*time.Hour, "tea", "reserved", "open", map[string]any{"initial": 40, "available": 39, "reserved": 1, "holds": map[string]int{"open": 1}})
	a.add(3*time.Hour, "cup", "committed", "ancient", map[string]any{"initial": 100, "available": 99, "shipped": 1})
	a.add(50*time.Minute, "cup", "committed", "shipped", map[string]any{"initial": 100, "available": 98, "shipped": 2})
	a.add(40*time.Minute, "cup", "released", "gone", map[string]any{"initial": 100, "available": 98, "shipped": 2})
	a.add(30*time.Minute, "cup", "reserved", "held", map[string]any{"initial": 100, "available": 97, "reserved": 1, "shipped": 2, "holds": map[string]int{"held": 1}})
	l := instance(t, a)
	stock(t, l, "cup", 97, 1, 2)
	stock(t, l, "tea", 39, 1, 0)
	stock(t, l, "limited-pot", 10, 0, 0)
	one := lines(1, "cup")
	must(t, commit(t, l, "shipped", one))
	must(t, release(t, l, "gone", one))
	want(t, "release of what was shipped 50 minutes ago", release(t, l, "shipped", one), fault.Conflict)
	want(t, "reserve of what was released 40 minutes ago", reserve(t, l, "gone", one), fault.Conflict)
	want(t, "commit of what was shipped 3 hours ago", commit(t, l, "ancient", one), fault.NotFound)
	must(t, reserve(t, l, "held", one))
	must(t, reserve(t, l, "open", lines(1, "tea")))
	if a.replayed[1] || a.replayed[2] || !a.replayed[3] {
		t.Errorf("the restart replayed %v, want the last hour", a.replayed)
	}
}

// TestRestartAfterALongPause has a ledger whose newest event is old: it is read
// on from there, so that nothing is missed where clocks differ.
func TestRestartAfterALongPause(t *testing.T) {
	a := &archive{t: t}
	a.add(5*time.Hour, "cup", "committed", "first", map[string]any{"initial": 100, "available": 99, "shipped": 1})
	a.add(4*time.Hour, "cup", "committed", "second", map[string]any{"initial": 100, "available": 98, "shipped": 2})
	l := instance(t, a)
	stock(t, l, "cup", 98, 0, 2)
	if a.replayed[1] || !a.replayed[2] {
		t.Errorf("the restart replayed %v, want the last event", a.replayed)
	}
}

// TestNotReadyBeforeTheReplay has the shelves known, but not yet what was
// settled: refusing to answer beats reserving what was released.
func TestNotReadyBeforeTheReplay(t *testing.T) {
	a := &archive{t: t}
	a.add(time.Minute, "cup", "released", "gone", map[string]any{"initial": 100, "available": 100})
	stuck := stuck{archive: a, entered: make(chan struct{})}
	l := inventory.New(stuck, shelves, nil)
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
	*archive
	entered chan struct{}
}

func (s stuck) Follow(ctx context.Context, _ time.Time, _ func(string, uint64, []byte)) error {
	close(s.entered)
	<-ctx.Done()
	return nil
}
