package orders_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/orders"
)

// listed notes which orders an instance is given to look after, and with how many
// of them it is done.
type listed struct {
	orders.Journal

	mu    sync.Mutex
	given map[string]bool
	done  int
}

func list(j orders.Journal) *listed { return &listed{Journal: j, given: map[string]bool{}} }

func (j *listed) Consume(ctx context.Context, name string, kinds []string, handle func(context.Context, string, uint64, []byte) error) error {
	return j.Journal.Consume(ctx, name, kinds, func(ctx context.Context, key string, seq uint64, event []byte) error {
		err := handle(ctx, key, seq, event)
		var later interface{ Untouched() time.Duration }
		j.mu.Lock()
		defer j.mu.Unlock()
		j.given[key] = true
		if err == nil || errors.As(err, &later) && later.Untouched() == 0 {
			j.done++
		}
		return err
	})
}

func (j *listed) saw(key string) (seen bool, all, done int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.given[key], len(j.given), j.done
}

// TestRestartReadsNoHistory restarts an instance after many orders that are done
// with: what it is given is the next one.
func TestRestartReadsNoHistory(t *testing.T) {
	const many = 40
	s := newShop(t, provider.Options{})
	o := orders.Options{ResumeAfter: 50 * time.Millisecond}
	before := list(s.journal)
	first := orders.New(before, s.ports, o)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	for i := range many {
		_, err := first.Place(t.Context(), request(fmt.Sprint("old-", i)))
		must(t, err)
	}
	s.eventually("all old orders are done with", func() bool { _, _, done := before.saw(""); return done == many })
	stop()
	must(t, <-ended)

	after := list(s.journal)
	second := orders.New(after, s.ports, o)
	s.background(second.Run)
	next, err := second.Place(t.Context(), request("next"))
	must(t, err)
	s.eventually("the next order is looked after", func() bool { seen, _, _ := after.saw(next.ID); return seen })
	if _, all, _ := after.saw(""); all != 1 {
		t.Errorf("after %d orders the next instance is given %d, want only the new one", many, all)
	}
}
