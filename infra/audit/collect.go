package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

// Patience is how long orders may take to end after the customers have left.
const Patience = 30 * time.Second

// pollEvery is the pause between two looks at the orders' journal.
const pollEvery = 100 * time.Millisecond

// Sources are where the evidence comes from.
type Sources struct {
	Broker    *broker.Client
	Provider  *provider.Client
	Histories []load.History // read before the audit begins
	Start     map[string]int // units by SKU when the ledger began; nil: believe the ledger
	Patience  time.Duration  // 0 means Patience
	// Waiting is told, about once a second, what the audit waits for. It may be
	// nil.
	Waiting func(text string)
}

// Collect waits until every order placed before the call has ended, at most for
// the patience, and reads the evidence. Orders placed meanwhile do not disturb
// it. It fails when the broker or the provider does not answer.
func Collect(ctx context.Context, s Sources) (Evidence, error) {
	e := Evidence{Histories: s.Histories, Start: s.Start}
	orders, err := openTail[Order](ctx, s.Broker, "orders")
	if err != nil {
		return e, err
	}
	if err := s.settle(ctx, orders); err != nil {
		return e, err
	}
	e.Cut = orders.cut
	if e.Stock, err = readAll[StockEvent](ctx, s.Broker, "stock"); err != nil {
		return e, err
	}
	if e.Payments, err = readAll[Payment](ctx, s.Broker, "payments"); err != nil {
		return e, err
	}
	if e.Shipments, err = readAll[Shipment](ctx, s.Broker, "shipments"); err != nil {
		return e, err
	}
	if e.Provider, err = s.Provider.Ledger(ctx); err != nil {
		return e, fmt.Errorf("read the provider's ledger: %w", err)
	}
	// Last, so that the order of every effect is among them.
	if err := orders.read(ctx); err != nil {
		return e, err
	}
	e.Orders = orders.events
	return e, nil
}

// settle reads orders until those that are there now have ended.
func (s Sources) settle(ctx context.Context, orders *tail[Order]) error {
	patience := s.Patience
	if patience <= 0 {
		patience = Patience
	}
	began := time.Now()
	var said time.Time
	for {
		if err := orders.read(ctx); err != nil {
			return err
		}
		if orders.cut == 0 && len(orders.events) > 0 {
			orders.cut = orders.events[len(orders.events)-1].Seq
		}
		open := onTheirWay(orders)
		waited := time.Since(began)
		if len(open) == 0 || waited > patience {
			return nil
		}
		if s.Waiting != nil && time.Since(said) > time.Second {
			said = time.Now()
			s.Waiting(fmt.Sprintf("waiting for %d orders to end, such as %s, for %.0f s of %.0f",
				len(open), open[0], waited.Seconds(), patience.Seconds()))
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onTheirWay lists the orders placed before the cut that have not ended.
func onTheirWay(orders *tail[Order]) (open []string) {
	last := map[string]string{}
	var ids []string
	for _, ev := range orders.events {
		if _, known := last[ev.Key]; !known && ev.Seq <= orders.cut {
			ids = append(ids, ev.Key)
		}
		last[ev.Key] = ev.Value.Status
	}
	for _, id := range ids {
		if !final(last[id]) {
			open = append(open, id+" ("+last[id]+")")
		}
	}
	return open
}

// tail is a journal read so far.
type tail[T any] struct {
	journal *broker.Journal
	name    string
	events  []Event[T]
	cut     uint64
}

func openTail[T any](ctx context.Context, b *broker.Client, name string) (*tail[T], error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	j, err := b.Journal(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", name, err)
	}
	return &tail[T]{journal: j, name: name}, nil
}

// read adds the events that are new.
func (t *tail[T]) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	next := uint64(1)
	if n := len(t.events); n > 0 {
		next = t.events[n-1].Seq + 1
	}
	var broken error
	err := t.journal.Replay(ctx, next, func(s broker.Stored) {
		ev := Event[T]{Seq: s.Seq, Key: s.Key, At: s.At}
		if err := json.Unmarshal(s.Data, &ev.Value); err != nil && broken == nil {
			broken = fmt.Errorf("event %d of the journal %s cannot be read: %w", s.Seq, t.name, err)
		}
		t.events = append(t.events, ev)
	})
	if err != nil {
		return fmt.Errorf("read the journal %s: %w", t.name, err)
	}
	return broken
}

func readAll[T any](ctx context.Context, b *broker.Client, name string) ([]Event[T], error) {
	t, err := openTail[T](ctx, b, name)
	if err != nil {
		return nil, err
	}
	err = t.read(ctx)
	return t.events, err
}
