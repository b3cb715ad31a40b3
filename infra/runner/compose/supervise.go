package compose

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	// restartAfter is how long a killed container stays down, and how long
	// the supervisor waits for a sign that somebody wanted it down.
	restartAfter = time.Second
	// restartTries bounds the attempts to start one container again.
	restartTries = 5
	// resubscribeAfter is the pause before events are asked for again.
	resubscribeAfter = 3 * time.Second
)

// Supervise starts again, after a second, every container of the stack that a
// signal ended, until ctx ends. Docker's restart policies cover crashes but
// never what `docker kill` ended, whereas a killed process of a local mesh
// comes back. What docker stop, compose stop, down or rm end stays down. It
// survives the engine's restart.
func Supervise(ctx context.Context, log *slog.Logger) error {
	for {
		fleet, err := connect(ctx)
		if err == nil {
			log.Info("supervising the stack", "engine", fleet.engine.DaemonHost())
			err = fleet.watch(ctx, log)
			_ = fleet.engine.Close()
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller ended it
		}
		log.Warn("the engine does not tell its events; asking again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(resubscribeAfter):
		}
	}
}

// watch follows the engine's events until they or ctx end.
func (f *Fleet) watch(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := f.engine.Events(ctx, client.EventsListOptions{
		Filters: ours().Add("type", string(events.ContainerEventType)),
	})
	marks := fates{}
	for {
		var due <-chan time.Time // nil while nobody is to be started
		if at, ok := marks.next(); ok {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-stream.Err:
			return fmt.Errorf("events: %w", err)
		case e := <-stream.Messages:
			marks.observe(e, time.Now())
		case <-due:
			for _, id := range marks.due(time.Now()) {
				f.revive(ctx, id, marks, log)
			}
		}
	}
}

// revive starts a container that was killed, or learns that it is to stay down
// for longer.
func (f *Fleet) revive(ctx context.Context, id string, marks fates, log *slog.Logger) {
	fate := marks[id]
	ctx, cancel := context.WithTimeout(ctx, execPatience)
	defer cancel()
	hold, err := f.holdOf(ctx, id)
	if err == nil && hold > restartAfter && !fate.held {
		fate.held, fate.at = true, fate.at.Add(hold-restartAfter)
		return
	}
	if err == nil && hold > 0 {
		err = f.setHold(ctx, id, 0)
	}
	if err == nil {
		_, err = f.engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
	}
	switch {
	case err == nil:
		log.Info("started a killed container again", "container", fate.name)
		delete(marks, id)
	case errdefs.IsNotFound(err), fate.tries+1 >= restartTries:
		log.Warn("a killed container stays down", "container", fate.name, "error", err)
		delete(marks, id)
	default:
		fate.tries++
		fate.at = time.Now().Add(restartAfter)
	}
}

// fates holds, by container id, what is known of those a signal was sent to.
type fates map[string]*fate

type fate struct {
	name  string
	at    time.Time // when to start it again; zero while it lives
	tries int
	held  bool // at says already when a hold ends
}

// observe takes one event into account. An end by hand is the sequence kill,
// die; Docker tells the wish to keep it down by a stop or destroy right after,
// and a container that came back by itself by a start.
func (f fates) observe(e events.Message, now time.Time) {
	id := e.Actor.ID
	switch e.Action {
	case events.ActionKill:
		if f[id] == nil {
			f[id] = &fate{name: e.Actor.Attributes["name"]}
		}
	case events.ActionDie:
		if fate := f[id]; fate != nil {
			fate.at = now.Add(restartAfter)
		}
	case events.ActionStop, events.ActionDestroy, events.ActionStart:
		delete(f, id)
	}
}

// due lists the containers whose time has come.
func (f fates) due(now time.Time) []string {
	var ids []string
	for id, fate := range f {
		if !fate.at.IsZero() && !fate.at.After(now) {
			ids = append(ids, id)
		}
	}
	return ids
}

// next returns the earliest time at which a container is to be started.
func (f fates) next() (at time.Time, ok bool) {
	for _, fate := range f {
		if !fate.at.IsZero() && (!ok || fate.at.Before(at)) {
			at, ok = fate.at, true
		}
	}
	return at, ok
}
