// Package watch looks at a mesh once a second: what the callers of each service
// say of their calls, and whom they hold out of rotation.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/chaos"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const (
	// patience is how long one instance may take to answer: less than a second,
	// so that paused ones never hold up the next round.
	patience = 400 * time.Millisecond
	// atOnce bounds the questions under way: paused instances occupy places.
	atOnce = 16
	// refresh is how often the list of instances is read anew. On compose that
	// takes a while, so it goes on beside the rounds.
	refresh = 5 * time.Second
)

// Options say what is watched.
type Options struct {
	// Fleet is the mesh. Its State is asked every 5 s, for instances that come
	// and move.
	Fleet interface {
		State(ctx context.Context) (runner.State, error)
	}
	// Began is when second 0 begins.
	Began time.Time
}

// Seen takes what the callers say of one second: by service called, and which
// instances and edge did not answer, because they are dead, paused or busy. What
// those did as callers is left out. Second n began n seconds after Options.Began.
type Seen func(second int, mesh map[string]chaos.ServiceSeconds, silent []string)

// Run asks every instance and the edge at the end of each second and calls seen,
// until ctx ends. A round that comes late is skipped, not made up for. The error
// says why nothing at all was seen.
func Run(ctx context.Context, o Options, seen Seen) error {
	w := &watcher{
		fleet: o.Fleet, tally: newTally(),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1}},
	}
	defer w.client.CloseIdleConnections()
	if err := w.look(ctx); err != nil {
		return fmt.Errorf("the mesh does not say where its admin ports are: %w", err)
	}
	if !sleep(ctx, time.Until(o.Began)) {
		return nil
	}
	w.round(ctx, time.Now()) // what was counted before
	var looking sync.WaitGroup
	looking.Go(func() { w.keepLooking(ctx) })
	defer looking.Wait()
	for {
		now := time.Now()
		second := int(now.Sub(o.Began) / time.Second)
		if !sleep(ctx, o.Began.Add(time.Duration(second+1)*time.Second).Sub(now)) {
			return w.trouble
		}
		mesh, silent := w.round(ctx, time.Now())
		if ctx.Err() != nil {
			return w.trouble
		}
		seen(second, mesh, silent)
	}
}

// watcher is one Run.
type watcher struct {
	fleet interface {
		State(ctx context.Context) (runner.State, error)
	}
	client  *http.Client
	tally   *tally
	heard   bool  // somebody answered, once
	trouble error // why nobody did

	mu     sync.Mutex
	places []place
	ids    map[string]string // of instances, by address: stock go-kit knows no ids
}

// place is where one caller tells what it sees.
type place struct{ id, admin string }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keepLooking follows instances that come, go and move.
func (w *watcher) keepLooking(ctx context.Context) {
	for sleep(ctx, refresh) {
		_ = w.look(ctx) // the old list serves on
	}
}

func (w *watcher) look(ctx context.Context) error {
	state, err := w.fleet.State(ctx)
	if err != nil {
		return err
	}
	var places []place
	ids := map[string]string{}
	for _, i := range state.Instances {
		places = append(places, place{i.ID, i.Admin})
		ids[i.RPC] = i.ID
	}
	for _, p := range state.Parts {
		if p.Name == "edge" {
			places = append(places, place{p.Name, p.Admin})
		}
	}
	if len(places) == 0 {
		return errors.New("no instance runs")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places, w.ids = places, ids
	return nil
}

// round asks everybody once.
func (w *watcher) round(ctx context.Context, now time.Time) (map[string]chaos.ServiceSeconds, []string) {
	w.mu.Lock()
	places, ids := w.places, w.ids
	w.mu.Unlock()
	views, failed := make([]*view, len(places)), make([]error, len(places))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, p := range places {
		g.Go(func() error {
			views[i], failed[i] = ask(ctx, w.client, p.admin)
			return nil
		})
	}
	_ = g.Wait() // the errors are in failed
	var silent []string
	answered := map[string]*view{}
	for i, p := range places {
		if views[i] == nil {
			silent = append(silent, p.id)
			continue
		}
		answered[p.id] = views[i]
	}
	slices.Sort(silent)
	w.note(len(answered), len(places), failed)
	return w.tally.second(answered, ids, now), silent
}

// note keeps in mind why nobody has ever answered.
func (w *watcher) note(answered, asked int, failed []error) {
	switch {
	case answered > 0:
		w.heard, w.trouble = true, nil
	case !w.heard:
		w.trouble = fmt.Errorf("none of %d admin ports answers here: %w", asked, cmp.Or(failed...))
	}
}
