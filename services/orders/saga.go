package orders

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Options tunes a Saga; the zero value is usable.
type Options struct {
	AnswerWithin time.Duration // a customer waits no longer for an order to end; 0 means 2 s
	ResumeAfter  time.Duration // an order without news for so long is somebody's to drive on; 0 means 2 s
	KeyLifetime  time.Duration // a repeated key gets its order for so long, and is refused after; 0 means 24 h
	MaxFailures  int           // unexpected failures of one step in a row before it is given up; 0 means 8
	Logger       *slog.Logger  // nil: silent
}

// Saga is the Service. Whoever drives an order performs the next step's effect
// first, which is idempotent, and then writes the state after it, which only
// one can; the loser goes on from the winner's state. The states after quiet
// steps are not written as a rule: whoever goes on from the one before repeats
// the step.
type Saga struct {
	journal Journal
	ports   Ports
	opts    Options
}

var _ Service = (*Saga)(nil)

// New returns a Service on a journal and the services the saga runs over.
func New(journal Journal, ports Ports, o Options) *Saga {
	if o.AnswerWithin <= 0 {
		o.AnswerWithin = 2 * time.Second
	}
	if o.ResumeAfter <= 0 {
		o.ResumeAfter = 2 * time.Second
	}
	if o.KeyLifetime <= 0 {
		o.KeyLifetime = 24 * time.Hour
	}
	if o.MaxFailures <= 0 {
		o.MaxFailures = 8
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Saga{journal: journal, ports: ports, opts: o}
}

// step is one move of the saga: the effect that leads from a status to the next.
// Reserved and Dispatched are written before anything follows them, so that of
// two drivers only one decides whether the money moves on.
type step struct {
	next   Status
	quiet  bool
	effect func(*Saga, context.Context, record) error
}

// steps is the saga. Cancelling undoes, everything else goes forward.
var steps = map[Status]step{
	Placed: {Reserved, false, func(s *Saga, ctx context.Context, r record) error {
		return s.ports.Inventory.Reserve(ctx, r.ID, r.Lines)
	}},
	Reserved: {Authorised, true, func(s *Saga, ctx context.Context, r record) error {
		return s.ports.Payments.Authorise(ctx, r.ID, r.Total)
	}},
	Authorised: {Dispatched, false, func(s *Saga, ctx context.Context, r record) error {
		return s.ports.Shipping.Dispatch(ctx, r.ID, r.Lines)
	}},
	Dispatched: {Captured, true, func(s *Saga, ctx context.Context, r record) error {
		return s.ports.Payments.Capture(ctx, r.ID)
	}},
	Captured: {Confirmed, false, func(s *Saga, ctx context.Context, r record) error {
		return s.ports.Inventory.Commit(ctx, r.ID, r.Lines)
	}},
	Cancelling: {Cancelled, false, (*Saga).undo},
}

// undo takes back, in reverse, whatever was done for the order. Another driver
// may have come further than this one, but not past what it had to write: to no
// card without Reserved, and to no parcel with a card that was declined.
func (s *Saga) undo(ctx context.Context, r record) error {
	declined := r.UndoFrom == Reserved && r.ReasonCode == string(fault.Declined)
	if r.UndoFrom != Placed && !declined {
		if err := s.ports.Shipping.Cancel(ctx, r.ID); err != nil {
			return fmt.Errorf("cancel the delivery: %w", err)
		}
	}
	if r.UndoFrom != Placed {
		if err := s.ports.Payments.Void(ctx, r.ID); err != nil {
			return fmt.Errorf("void the payment: %w", err)
		}
	}
	// Always: the tombstone stops a Reserve that is still on its way.
	if err := s.ports.Inventory.Release(ctx, r.ID, r.Lines); err != nil {
		return fmt.Errorf("release the goods: %w", err)
	}
	return nil
}

// Waits between the tries of one step.
const (
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// drive moves r on until it is final, ctx ends, or a step failed most times in a
// row, and returns how far it came, as it is written. An error says why it is not
// final; another drive may go on at any time.
func (s *Saga) drive(ctx context.Context, r record, most int) (record, error) {
	written := r
	for tries := 0; !r.Status.Final(); {
		next, err := s.advance(ctx, r)
		if err == nil {
			if next.Status != r.Status {
				tries = 0
			}
			if r = next; r.seq > written.seq {
				written = r
			}
			if r.Failures == 0 {
				continue
			}
			err = fault.New(fault.Internal, "%s", r.Reason)
		}
		if tries++; ctx.Err() != nil || tries >= most {
			return written, err
		}
		newer, e := s.load(ctx, r.ID)
		if e == nil && newer.seq > r.seq {
			r, written, tries = newer, newer, 0
			continue // somebody else was faster
		}
		pause(ctx, backoff(tries-1))
	}
	return r, nil
}

// advance performs r's step and writes the state after it, unless the step is
// quiet. An order that is slow, or had failed, is written nevertheless: others
// would take it for abandoned.
func (s *Saga) advance(ctx context.Context, r record) (record, error) {
	next, err := s.move(ctx, r)
	if err != nil {
		return record{}, err
	}
	st := steps[r.Status]
	if st.quiet && next.Status == st.next && r.Failures == 0 && time.Since(r.UpdatedAt) < newsEvery {
		return next, nil
	}
	return s.save(ctx, next)
}

// newsEvery is the longest that an order which moves on is not written.
const newsEvery = 500 * time.Millisecond

// move performs the effect of r's step and returns the state to write. It
// fails when the step should simply be tried again.
func (s *Saga) move(ctx context.Context, r record) (record, error) {
	st, ok := steps[r.Status]
	if !ok {
		return r.failed(fault.Internal, fmt.Sprintf("the order has the unknown status %q", r.Status)), nil
	}
	err := s.perform(ctx, st, r)
	switch {
	case err == nil:
		r.Status, r.Failures = st.next, 0
		if r.UndoFrom == "" {
			r.Reason = "" // of failures that are overcome
		}
		return r, nil
	case passing(ctx, err):
		return record{}, err
	case definite(err) && r.undoable():
		return r.cancelling(err), nil
	}
	return s.stumble(r, err), nil
}

// perform runs the effect of a step; a panic is a failure of the step, or the
// order would break every instance that resumes it, for ever.
func (s *Saga) perform(ctx context.Context, st step, r record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return st.effect(s, ctx, r)
}

// stumble counts an unexpected failure. One too many turns the saga round, or
// ends it for a person to look at where that is not possible.
func (s *Saga) stumble(r record, err error) record {
	r.Failures++
	s.opts.Logger.Warn("a step of an order failed unexpectedly", "order", r.ID, "status", r.Status, "failures", r.Failures, "err", err)
	switch {
	case r.Failures < s.opts.MaxFailures:
		if r.UndoFrom == "" {
			r.Reason = fault.MessageOf(err)
		}
		return r
	case r.undoable():
		return r.cancelling(err)
	}
	s.opts.Logger.Error("an order failed; a person must look", "order", r.ID, "status", r.Status, "err", err)
	return r.failed(fault.CodeOf(err), fmt.Sprintf("given up at %q after %d failures: %s", r.Status, r.Failures, fault.MessageOf(err)))
}

// undoable reports whether the saga may still turn round.
func (r record) undoable() bool {
	switch r.Status {
	case Placed, Reserved, Authorised, Dispatched:
		return true
	}
	return false
}

// cancelling turns the saga round because of err.
func (r record) cancelling(err error) record {
	r.UndoFrom, r.Status, r.Failures = r.Status, Cancelling, 0
	r.Reason, r.ReasonCode = fault.MessageOf(err), string(fault.Internal)
	switch code := fault.CodeOf(err); code {
	case fault.Conflict, fault.Declined, fault.NotFound, fault.Invalid:
		r.ReasonCode = string(code)
	}
	return r
}

// failed ends the saga for a person to look at.
func (r record) failed(code fault.Code, reason string) record {
	r.Status, r.Failures, r.Reason, r.ReasonCode = Failed, 0, reason, string(code)
	return r
}

// passing reports whether err says nothing about the order: nobody there, no
// time, too much to do.
func passing(ctx context.Context, err error) bool {
	switch fault.CodeOf(err) {
	case fault.Unavailable, fault.Deadline, fault.Canceled, fault.Limited, fault.Overloaded:
		return true
	}
	return ctx.Err() != nil
}

// definite reports whether err is an answer that another try would only repeat.
func definite(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Conflict, fault.Declined, fault.NotFound, fault.Invalid, fault.KeyReused, fault.Denied:
		return true
	}
	return false
}

// backoff doubles from minPause to maxPause, jittered.
func backoff(tries int) time.Duration {
	d := min(minPause<<min(tries, 10), maxPause)
	return d/2 + rand.N(d)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
