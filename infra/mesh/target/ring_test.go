package target_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// owner is the instance that an idle target sends a key to.
func owner(ctx context.Context, x *target.Target, key string) (id string) {
	_ = x.Do(target.WithHashKey(ctx, key), read, func(_ context.Context, m *target.Member) error {
		id = m.Instance().ID
		return nil
	})
	return id
}

func owners(ctx context.Context, x *target.Target, keys int) []string {
	out := make([]string, keys)
	for i := range out {
		out[i] = owner(ctx, x, fmt.Sprintf("key-%d", i))
	}
	return out
}

// When an instance leaves only its keys move; when it returns they come back.
// Another caller sends the same keys to the same instances.
func TestOnlyTheLostKeysMove(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 20).Draw(r, "instances")
		lost := rapid.IntRange(0, n-1).Draw(r, "lost")
		list := instances(n)
		for i := range list {
			list[i].Weight = rapid.IntRange(1, 3).Draw(r, "weight")
		}
		for i := range 2 { // the heaviest weight stays
			list[(lost+1+i)%n].Weight = 3
		}
		source := discovery.NewStatic(list...)
		options := target.Options{Service: "x", Source: source, Balance: target.Balance{Policy: target.Hash, SlowStart: -1}}
		x := target.New(options)
		defer func() { _ = x.Close() }()
		const keys = 500
		before := owners(t.Context(), x, keys)
		sibling := target.New(options)
		defer func() { _ = sibling.Close() }()
		if other := owners(t.Context(), sibling, keys); fmt.Sprint(other) != fmt.Sprint(before) {
			r.Fatalf("two callers differ: %v and %v", before, other)
		}
		var rest []discovery.Instance
		for i := range list {
			if i != lost {
				rest = append(rest, list[i])
			}
		}
		less := target.New(target.Options{Service: "x", Source: discovery.NewStatic(rest...), Balance: options.Balance})
		defer func() { _ = less.Close() }()
		for i, id := range owners(t.Context(), less, keys) {
			if was := before[i]; id != was && was != list[lost].ID {
				r.Fatalf("key-%d moved from %s to %s when %s left", i, was, id, list[lost].ID)
			}
		}
	})
}

// The parts of the keys are near the shares.
func TestKeysSpreadByWeight(t *testing.T) {
	list := instances(6)
	list[0].Weight, list[1].Weight = 2, 2
	x := of(t, 0, target.Options{Source: discovery.NewStatic(list...), Balance: target.Balance{Hash: []string{"x.Read"}}})
	count := map[string]int{}
	for _, id := range owners(t.Context(), x, 16_000) {
		count[id]++
	}
	for _, i := range list {
		if want := 2000 * max(i.Weight, 1); math.Abs(float64(count[i.ID]-want)) > 0.3*float64(want) {
			t.Errorf("%s of weight %d has %d keys, want about %d", i.ID, i.Weight, count[i.ID], want)
		}
	}
}

// A key that everybody asks for is served by as many instances as it takes, none
// of which has more than 1.25 times its share; then it comes home.
func TestHotKeyOverflows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 5, target.Options{Balance: target.Balance{Policy: target.Hash}})
		home := owner(t.Context(), x, "hot")
		release := make(chan struct{})
		var wg sync.WaitGroup
		ctx := target.WithHashKey(t.Context(), "hot")
		for range 100 {
			wg.Go(func() {
				_ = x.Do(ctx, read, func(context.Context, *target.Member) error { <-release; return nil })
			})
			synctest.Wait() // one after the other
		}
		for _, m := range x.Report().Members {
			if m.InFlight > 25 {
				t.Errorf("%s has %d of 100 calls in flight, want at most 25", m.ID, m.InFlight)
			}
			if m.ID == home && m.InFlight < 24 {
				t.Errorf("the key's own instance has %d calls, want all it may have", m.InFlight)
			}
		}
		close(release)
		wg.Wait()
		if now := owner(t.Context(), x, "hot"); now != home {
			t.Errorf("afterwards the key belongs to %s, want %s", now, home)
		}
	})
}

// Methods that are not listed, and calls without a key, go by the policy; the key
// may come from the request.
func TestWhoGoesByKey(t *testing.T) {
	x := of(t, 5, target.Options{Balance: target.Balance{
		Hash: []string{"x.Read"},
		Key: func(ctx context.Context, method string, request any) string {
			if key, _ := ctx.Value(keyName{}).(string); key != "" {
				return method + key
			}
			return ""
		},
	}})
	ask := func(ctx context.Context, method string) int {
		went := map[string]bool{}
		for range 200 {
			_ = x.Do(ctx, target.Call{Method: method, Idempotent: true}, func(_ context.Context, m *target.Member) error {
				went[m.Instance().ID] = true
				return nil
			})
		}
		return len(went)
	}
	with := context.WithValue(t.Context(), keyName{}, "k")
	if n := ask(with, "x.Read"); n != 1 {
		t.Errorf("calls with a key went to %d instances, want 1", n)
	}
	if a, b := ask(t.Context(), "x.Read"), ask(with, "x.Other"); a < 2 || b < 2 {
		t.Errorf("calls without a key, or that do not go by one, went to %d and %d instances, want several", a, b)
	}
}

type keyName struct{}
