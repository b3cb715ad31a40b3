package inventory_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// orderBook says of each order whether it is gone; of others nothing is known.
type orderBook struct {
	mu    sync.Mutex
	gone  map[string]bool
	asked map[string]int
}

func (b *orderBook) Abandoned(_ context.Context, key string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[key]++
	gone, known := b.gone[key]
	if !known {
		return false, fault.New(fault.Unavailable, "the orders cannot be read")
	}
	return gone, nil
}

func (b *orderBook) times(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[key]
}

// TestForgottenHolds: an old hold is released if its order is gone, and only
// then.
func TestForgottenHolds(t *testing.T) {
	w := journal(t)
	book := &orderBook{gone: map[string]bool{"a-gone": true, "b-paid": false}, asked: map[string]int{}}
	l := instanceOn(t, w.Journal, w.Client, inventory.Options{
		Orders: book, HoldFor: 50 * time.Millisecond, ExpireEvery: 10 * time.Millisecond,
	})
	one := lines(1, "limited-pot")
	for _, key := range []string{"a-gone", "b-paid", "c-unknown"} {
		must(t, reserve(t, l, key, one))
	}
	stock(t, l, "limited-pot", 8, 2, 0)
	eventually(t, "the others are asked for again and again", func() bool { return book.times("b-paid") > 1 && book.times("c-unknown") > 1 })
	want(t, "commit of a forgotten hold", commit(t, l, "a-gone", one), fault.Conflict)
	want(t, "reserve of a forgotten hold", reserve(t, l, "a-gone", one), fault.Conflict)
	must(t, commit(t, l, "b-paid", one))
	must(t, commit(t, l, "c-unknown", one))
	stock(t, l, "limited-pot", 8, 0, 2)
	if n := l.Stats().Expired.Load(); n != 1 {
		t.Errorf("%d holds expired, want 1", n)
	}
	audit(t, w)
}

// TestYoungHoldsStay: nobody asks for the order of a hold that is not old.
func TestYoungHoldsStay(t *testing.T) {
	w := journal(t)
	book := &orderBook{gone: map[string]bool{"old": true, "young": true}, asked: map[string]int{}}
	patient := inventory.Options{Orders: book, HoldFor: time.Hour, ExpireEvery: time.Millisecond}
	l := instanceOn(t, w.Journal, w.Client, patient)
	must(t, reserve(t, l, "young", lines(1, "cup")))
	hasty := patient
	hasty.HoldFor = time.Nanosecond
	other := instanceOn(t, w.Journal, w.Client, hasty)
	must(t, reserve(t, other, "old", lines(1, "tea"))) // of another shard, which the hasty one owns
	eventually(t, "the old hold is released", func() bool { return other.Stats().Expired.Load() == 1 })
	if book.times("young") > 0 {
		t.Error("a hold of a moment was looked at")
	}
}
