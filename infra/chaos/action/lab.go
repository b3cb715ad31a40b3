package action

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// Lab is the right to hurt one mesh. It is safe for concurrent use.
type Lab struct {
	fleet runner.Fleet
	log   *undoLog
	lock  *runner.Lock

	mu      sync.Mutex
	running []*Running
}

// Busy says that another process experiments on the mesh.
type Busy struct {
	PID   int
	Since time.Time
}

func (b *Busy) Error() string {
	return fmt.Sprintf("another experiment runs on this mesh: pid %d, since %s; kitmesh chaos stop ends it", b.PID, b.Since.Format(time.TimeOnly))
}

// ErrUnhealed says that an earlier experiment ended without undoing what it did.
var ErrUnhealed = errors.New("an earlier experiment left the mesh hurt: run kitmesh chaos heal")

// Open takes the mesh for one experiment at a time: *Busy if another process has
// it, ErrUnhealed if one that ended left something undone. The lock and the undo
// log are kept in dir, which is made when missing.
func Open(fleet runner.Fleet, dir string) (*Lab, error) {
	l, err := open(fleet, dir)
	if err != nil {
		return nil, err
	}
	if n := len(l.log.pending()); n > 0 {
		return nil, errors.Join(fmt.Errorf("%d changes are not undone: %w", n, ErrUnhealed), l.Close())
	}
	return l, nil
}

func open(fleet runner.Fleet, dir string) (*Lab, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the undo log: %w", err)
	}
	lock, err := runner.TakeLock(lockPath(dir))
	if errors.Is(err, runner.ErrLocked) {
		pid, since := runner.LockHolder(lockPath(dir))
		return nil, &Busy{PID: pid, Since: since}
	}
	if err != nil {
		return nil, err
	}
	log, err := openLog(dir)
	if err != nil {
		lock.Release()
		return nil, err
	}
	return &Lab{fleet: fleet, log: log, lock: lock}, nil
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// Holder returns the process that experiments on the mesh whose lab is in dir; 0
// if none does.
func Holder(dir string) (pid int) {
	lock, err := runner.TakeLock(lockPath(dir))
	if err == nil {
		lock.Release()
		return 0
	}
	pid, _ = runner.LockHolder(lockPath(dir))
	return pid
}

// Start begins an action and returns when it was done for the first time; what
// repeats or takes its time goes on until Stop. ctx bounds the beginning alone.
// The same seed picks the same victims of the same mesh. note, which may be nil,
// hears what is done, from several goroutines. An action that would leave fewer
// than the target's MinHealthy is refused. When an error is returned, whatever
// was done already is undone.
func (l *Lab) Start(ctx context.Context, s Spec, t Target, seed uint64, note func(Note)) (*Running, error) {
	if err := check(s, t); err != nil {
		return nil, err
	}
	if note == nil {
		note = func(Note) {}
	}
	state, err := l.fleet.State(ctx)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Running{
		lab: l, mesh: state.Control, spec: s, target: t, note: note, chance: rand.New(rand.NewPCG(seed, 0)),
		life: life, cancel: cancel, done: make(chan struct{}),
	}
	if err := r.begin(ctx); err != nil {
		undoing := context.WithoutCancel(ctx)
		return nil, errors.Join(fmt.Errorf("%s: %w", s.Action, err), r.Stop(undoing))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = append(l.running, r)
	return r, nil
}

// check refuses what Spec.Check and Target.Check find, and what does not fit
// together.
func check(s Spec, t Target) error {
	var errs []error
	for _, p := range s.Check() {
		errs = append(errs, p)
	}
	if kind, ok := kinds[s.Action]; ok && (t != (Target{}) || slices.Contains(kind.needs, "target")) {
		for _, p := range t.Check() {
			errs = append(errs, p)
		}
		if kind.on == onInstances && t.Part != "" {
			errs = append(errs, fmt.Errorf("target: %s is for instances of services, and %s is a part", s.Action, t.Part))
		}
	}
	return errors.Join(errs...)
}

// HealAll stops every action and undoes whatever is not undone; it returns what
// it did, a sentence each. What could not be undone stays in the log.
func (l *Lab) HealAll(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	running := slices.Clone(l.running)
	l.mu.Unlock()
	for _, r := range running {
		r.halt()
	}
	return l.undo(ctx, l.log.pending())
}

// undo undoes changes, those of different names at the same time, the newest of
// each name first.
func (l *Lab) undo(ctx context.Context, seqs []int) (did []string, err error) {
	byName := map[string][]int{}
	for _, seq := range slices.Backward(seqs) {
		if u, ok := l.log.get(seq); ok {
			byName[u.Name] = append(byName[u.Name], seq)
		}
	}
	var mu sync.Mutex
	var failed []error
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, own := range byName {
		g.Go(func() error {
			for _, seq := range own {
				text, err := l.undoOne(ctx, seq)
				mu.Lock()
				if text != "" {
					did = append(did, text)
				}
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait() // failures are collected: one does not end the others
	slices.Sort(did)
	return did, errors.Join(failed...)
}

// atOnce bounds what is undone at the same time.
const atOnce = 16

func (l *Lab) undoOne(ctx context.Context, seq int) (string, error) {
	u, ok := l.log.get(seq)
	if !ok {
		return "", nil
	}
	undo, ok := undoers[u.Kind]
	if !ok {
		return "", fmt.Errorf("the undo log speaks of a %q, which this kitmesh does not know", u.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, undoPatience)
	defer cancel()
	// A local mesh that was started anew has a new supervisor: nothing of what was
	// done to the old one is left.
	if state, err := l.fleet.State(ctx); err == nil && state.Control != u.Mesh {
		return "", l.log.done(seq)
	}
	text, err := undo(ctx, l.fleet, u)
	if err != nil {
		return "", fmt.Errorf("undo %s of %s: %w", u.Kind, u.Name, err)
	}
	return text, l.log.done(seq)
}

// Close gives the mesh back. It undoes nothing: what is left stays in the log.
func (l *Lab) Close() error {
	l.mu.Lock()
	running := slices.Clone(l.running)
	l.mu.Unlock()
	for _, r := range running {
		r.halt()
	}
	err := l.log.close()
	l.lock.Release()
	return err
}

// Heal undoes what a process that ended suddenly left undone, and returns what
// it did, a sentence each. Doing it again does nothing. It fails with *Busy while
// an experiment runs.
func Heal(ctx context.Context, fleet runner.Fleet, dir string) ([]string, error) {
	l, err := open(fleet, dir)
	if err != nil {
		return nil, err
	}
	did, err := l.HealAll(ctx)
	return did, errors.Join(err, l.Close())
}
