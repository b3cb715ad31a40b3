package orders

import (
	"context"
	"math"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// consumer names the work queue that all instances share.
const consumer = "orders-saga"

// untouched tells the broker that an event was not worked on: it is done with
// (0) or wanted again after a while.
type untouched time.Duration

func (untouched) Error() string              { return "orders: nothing to do for this event now" }
func (u untouched) Untouched() time.Duration { return time.Duration(u) }

// Run drives on what other requests or dead instances left, until ctx ends.
func (s *Saga) Run(ctx context.Context) error {
	return s.journal.Consume(ctx, consumer, []string{kindPlaced}, s.onPlaced)
}

// onPlaced looks after one order. Its first event is the work item, which comes
// again and again until the order is final.
func (s *Saga) onPlaced(ctx context.Context, key string, seq uint64, event []byte) error {
	r, err := decode(seq, event)
	if err != nil {
		s.opts.Logger.Error("an order's event cannot be read; it is skipped", "order", key, "err", err)
		return untouched(0)
	}
	if err := s.fresh(r); err != nil {
		return err
	}
	if r, err = s.load(ctx, r.ID); err != nil {
		return err
	}
	if r.Status.Final() {
		return untouched(0)
	}
	if err := s.fresh(r); err != nil {
		return err
	}
	s.opts.Logger.Info("resuming an order", "order", r.ID, "status", r.Status, "silent_for", time.Since(r.UpdatedAt).Round(time.Millisecond))
	if r, err = s.drive(ctx, r, math.MaxInt); err != nil {
		return &fault.Error{Code: fault.Unavailable, Message: "the order is not final yet", RetryAfter: s.opts.ResumeAfter / 2, Cause: err}
	}
	return nil
}

// fresh postpones an order that somebody may still be driving.
func (s *Saga) fresh(r record) error {
	if wait := s.opts.ResumeAfter - time.Since(r.UpdatedAt); wait > 0 {
		return untouched(wait)
	}
	return nil
}
