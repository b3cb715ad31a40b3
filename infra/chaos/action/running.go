package action

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Running is an action that goes on.
type Running struct {
	lab    *Lab
	spec   Spec
	target Target
	note   func(Note)
	mesh   string     // see undo
	chance *rand.Rand // used by one goroutine at a time: Start's, then the one of repeat

	life   context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	done   chan struct{} // closed when it has nothing more to do by itself
	last   []string      // victims of the last round

	mu      sync.Mutex
	changes []int // in the log

	died error // of tests: the process ends between the log and the change
}

// begin does the action for the first time and leaves a goroutine where more is
// to be done.
func (r *Running) begin(ctx context.Context) error {
	kind := kinds[r.spec.Action]
	if kind.long != nil {
		run, err := kind.long(ctx, r)
		if err != nil {
			close(r.done)
			return err
		}
		r.work.Go(func() {
			defer close(r.done)
			if err := run(r.life); err != nil && r.life.Err() == nil {
				r.say(r.target.name(), "", err)
			}
		})
		return nil
	}
	if err := r.strike(ctx, kind); err != nil {
		close(r.done)
		return err
	}
	if r.spec.Every == 0 {
		close(r.done)
		return nil
	}
	r.work.Go(func() {
		defer close(r.done)
		r.repeat(kind)
	})
	return nil
}

// strike does the action once, to whoever is next.
func (r *Running) strike(ctx context.Context, kind kind) error {
	victims, err := r.victims(ctx, kind)
	if err != nil {
		return err
	}
	for _, v := range victims {
		before := len(r.log())
		if err := kind.once(ctx, r, v); err != nil {
			return err
		}
		if r.spec.For > 0 {
			changes := slices.Clone(r.log()[before:])
			r.work.Go(func() { r.undoAfter(r.spec.For, changes) })
		}
	}
	return nil
}

// repeat does the action again at every interval. What goes wrong is said and
// tried again at the next.
func (r *Running) repeat(kind kind) {
	tick := time.NewTicker(r.spec.Every)
	defer tick.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-tick.C:
		}
		if err := r.strikeAgain(kind); err != nil {
			r.say(r.target.name(), "not this time", err)
		}
	}
}

// strikeAgain is not cut off by Stop: half an order to the mesh could be carried
// out after its undoing.
func (r *Running) strikeAgain(kind kind) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), strikePatience)
	defer cancel()
	return r.strike(ctx, kind)
}

const strikePatience = 10 * time.Second

// undoAfter undoes changes before the action ends. Once begun it is not cut off by
// Stop: that would only do it again.
func (r *Running) undoAfter(d time.Duration, changes []int) {
	select {
	case <-r.life.Done():
	case <-time.After(d):
		_ = r.heal(context.WithoutCancel(r.life), changes) // it was said; Stop tries again
	}
}

// change writes down how to undo what do is about to change, then does it.
func (r *Running) change(u undo, do func() error) error {
	u.Mesh = r.mesh
	seq, err := r.lab.log.plan(u)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.changes = append(r.changes, seq)
	r.mu.Unlock()
	if r.died != nil {
		return r.died
	}
	return do()
}

func (r *Running) log() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

func (r *Running) say(target, text string, err error) {
	r.note(Note{Kind: "action", Action: r.spec.Action, Target: target, Text: text, Err: err})
}

// Done is closed when the action has nothing more to do by itself: at once for
// what is done once, after the last instance for a rolling restart, after the
// judgement for a canary. What it changed stays changed until Stop.
func (r *Running) Done() <-chan struct{} { return r.done }

// Stop ends the action and undoes it. What could not be undone stays in the log,
// for HealAll. Stopping again does nothing.
func (r *Running) Stop(ctx context.Context) error {
	r.halt()
	return r.heal(ctx, r.log())
}

func (r *Running) heal(ctx context.Context, changes []int) error {
	did, err := r.lab.undo(ctx, changes)
	for _, text := range did {
		r.note(Note{Kind: "heal", Action: r.spec.Action, Target: r.target.name(), Text: text})
	}
	if err != nil {
		r.note(Note{Kind: "heal", Action: r.spec.Action, Target: r.target.name(), Err: err})
	}
	return err
}

// halt ends the action's goroutines.
func (r *Running) halt() {
	r.cancel()
	r.work.Wait()
}
