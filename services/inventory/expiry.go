package inventory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// maxExpire bounds the holds that one look examines.
const maxExpire = 64

// expire releases holds that nobody will ever settle: old ones whose order does
// not exist or has ended. Age alone says nothing: an order that was captured may
// be stuck for hours, and must find its goods when it goes on.
func (w *writer) expire(ctx context.Context) {
	if w.ledger.opts.Orders == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxWrite)
	defer cancel()
	bound := w.ledger.opts.HoldFor
	for _, at := range w.overdue(time.Now().Add(-bound)) {
		abandoned, err := w.ledger.opts.Orders.Abandoned(ctx, at.key)
		if err != nil {
			w.ledger.opts.Logger.Info("old holds are kept: their orders cannot be asked for", "shard", w.name, "err", err)
			return
		}
		if !abandoned {
			w.examined[at] = time.Now()
			continue
		}
		w.forgetHold(ctx, at, fmt.Sprintf("the hold was not settled within %s", bound))
	}
}

// overdue lists the oldest holds from before a moment that were not looked at
// since.
func (w *writer) overdue(before time.Time) []place {
	type old struct {
		place
		since time.Time
	}
	var found []old
	open := map[place]time.Time{}
	w.mu.Lock()
	if w.owner == w.ledger.address {
		for sku, shelf := range w.shelves {
			for key, h := range shelf.holds {
				at := place{sku, key}
				looked, was := w.examined[at]
				if was {
					open[at] = looked
				}
				if h.Since.Before(before) && looked.Before(before) {
					found = append(found, old{at, h.Since})
				}
			}
		}
	}
	w.mu.Unlock()
	w.examined = open // without those that were settled
	slices.SortFunc(found, func(a, b old) int { return a.since.Compare(b.since) })
	places := make([]place, 0, maxExpire)
	for _, o := range found[:min(len(found), maxExpire)] {
		places = append(places, o.place)
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.key, b.key) })
	return places
}

// forgetHold releases one.
func (w *writer) forgetHold(ctx context.Context, at place, reason string) {
	t := &task{ctx: ctx, done: make(chan struct{}), request: request{
		Kind: Released, Key: at.key, Lines: []Line{{SKU: at.sku}}, Reason: reason,
	}}
	w.serve(ctx, []*task{t})
	if t.err != nil {
		w.ledger.opts.Logger.Info("an old hold is kept", "sku", at.sku, "key", at.key, "err", t.err)
		return
	}
	w.ledger.stats.Expired.Add(1)
	w.ledger.opts.Logger.Warn("a forgotten hold was released", "sku", at.sku, "key", at.key, "reason", reason)
}
