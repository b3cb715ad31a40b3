package orders_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/orders"
)

// fuse kills an instance at its n-th call to the outside, just before the
// call's effect or just after: from then on nothing leaves the instance.
type fuse struct {
	at    int
	after bool
	kill  context.CancelFunc

	mu    sync.Mutex
	calls int
	dead  bool
	where string
}

func (f *fuse) pass(name string, effect func() error) error {
	f.mu.Lock()
	f.calls++
	hit := f.calls == f.at
	if f.dead || hit && !f.after {
		f.blow(name)
		f.mu.Unlock()
		return fault.New(fault.Canceled, "dead")
	}
	f.mu.Unlock()
	err := effect()
	if hit {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.blow(name)
		return fault.New(fault.Canceled, "dead")
	}
	return err
}

func (f *fuse) blow(name string) {
	if !f.dead {
		f.dead, f.where = true, name
		f.kill()
	}
}

// The ports and the journal of an instance with a fuse.

type fusedJournal struct {
	orders.Journal
	f *fuse
}

func (j fusedJournal) Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error) {
	err = j.f.pass("append", func() error { seq, err = j.Journal.Append(ctx, key, kind, event, after); return err })
	return seq, err
}

type fusedInventory struct {
	orders.Inventory
	f *fuse
}

func (p fusedInventory) Reserve(ctx context.Context, id string, l []orders.Line) error {
	return p.f.pass("reserve", func() error { return p.Inventory.Reserve(ctx, id, l) })
}

func (p fusedInventory) Commit(ctx context.Context, id string, l []orders.Line) error {
	return p.f.pass("commit", func() error { return p.Inventory.Commit(ctx, id, l) })
}

func (p fusedInventory) Release(ctx context.Context, id string, l []orders.Line) error {
	return p.f.pass("release", func() error { return p.Inventory.Release(ctx, id, l) })
}

type fusedPayments struct {
	orders.Payments
	f *fuse
}

func (p fusedPayments) Authorise(ctx context.Context, id string, m orders.Money) error {
	return p.f.pass("authorise", func() error { return p.Payments.Authorise(ctx, id, m) })
}

func (p fusedPayments) Capture(ctx context.Context, id string) error {
	return p.f.pass("capture", func() error { return p.Payments.Capture(ctx, id) })
}

func (p fusedPayments) Void(ctx context.Context, id string) error {
	return p.f.pass("void", func() error { return p.Payments.Void(ctx, id) })
}

type fusedShipping struct {
	orders.Shipping
	f      *fuse
	refuse bool // dispatch fails for good, so that everything is undone
}

func (p fusedShipping) Dispatch(ctx context.Context, id string, l []orders.Line) error {
	if p.refuse {
		return fault.New(fault.Conflict, "the lorry is full")
	}
	return p.f.pass("dispatch", func() error { return p.Shipping.Dispatch(ctx, id, l) })
}

func (p fusedShipping) Cancel(ctx context.Context, id string) error {
	return p.f.pass("cancel", func() error { return p.Shipping.Cancel(ctx, id) })
}

// TestCrashAtEveryStep kills an instance before and after every effect and
// every write of a saga, forward and backward, and has another one finish.
func TestCrashAtEveryStep(t *testing.T) {
	for _, tc := range []struct {
		name   string
		refuse bool
		end    orders.Status
	}{
		{"forward", false, orders.Confirmed},
		{"undo", true, orders.Cancelled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t, provider.Options{})
			healthy := s.ports
			healthy.Shipping = fusedShipping{Shipping: s.ports.Shipping, f: &fuse{}, refuse: tc.refuse}
			s.background(orders.New(s.journal, healthy, orders.Options{ResumeAfter: 30 * time.Millisecond}).Run)
			points := 0
			for ; ; points++ {
				if burnt := crash(t, s, tc.refuse, tc.name, points+1); !burnt {
					break
				}
			}
			t.Logf("%d points, before and after each", points)
			if points < 9 {
				t.Errorf("only %d points: the fuse does not reach every step", points)
			}
			for id, o := range s.final() {
				if o.Status != tc.end {
					t.Errorf("order %s ended %s (%s), want %s", id, o.Status, o.Reason, tc.end)
				}
			}
			s.audit()
		})
	}
}

// crash places one order for each side of call number at, on an instance that
// dies there, and reports whether it came that far.
func crash(t *testing.T, s *shop, refuse bool, name string, at int) (burnt bool) {
	t.Helper()
	for _, after := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		f := &fuse{at: at, after: after, kill: cancel}
		doomed := orders.New(fusedJournal{s.journal, f}, orders.Ports{
			Inventory: fusedInventory{s.ports.Inventory, f},
			Payments:  fusedPayments{s.ports.Payments, f},
			Shipping:  fusedShipping{s.ports.Shipping, f, refuse},
			Pricing:   s.ports.Pricing,
		}, orders.Options{})
		_, err := doomed.Place(ctx, request(fmt.Sprintf("%s-%d-%v", name, at, after)))
		cancel()
		if !f.dead && err != nil && !refuse {
			t.Fatalf("point %d: %v", at, err)
		}
		burnt = burnt || f.dead
	}
	return burnt
}
