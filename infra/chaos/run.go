package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// Options are what a run needs besides the experiment.
type Options struct {
	Fleet  runner.Fleet
	Lab    Lab    // the right to hurt the mesh
	Target string // local or compose
	Dir    string // where the customers' history goes

	// Audit judges what customers were told, when all is quiet again.
	Audit func(ctx context.Context, told []load.History) (audit.Report, error)
	// Watch tells until ctx ends what the callers saw in each second after began.
	// It may be nil.
	Watch func(ctx context.Context, began time.Time, seen func(second int, mesh map[string]ServiceSeconds, silent []string)) error
	View  View   // may be nil
	Load  Loader // load.Run, where nil
}

// Lab hurts a mesh and heals it; *action.Lab is one, but for the type that Start
// returns.
type Lab interface {
	Start(ctx context.Context, s action.Spec, t action.Target, seed uint64, note func(action.Note)) (Running, error)
	// HealAll undoes whatever is not undone and says what it did.
	HealAll(ctx context.Context) ([]string, error)
}

// Running is an action that goes on.
type Running interface {
	Done() <-chan struct{}          // closed when it has nothing more to do by itself
	Stop(ctx context.Context) error // ends and undoes it
}

// Loader is load.Run.
type Loader func(context.Context, load.Options) (load.Result, error)

// View shows a run while it goes on; one method is called at a time.
type View interface {
	Say(text string) // what is waited for
	Phase(Phase)     // it begins; its Stats are not known yet
	Second(Second)   // it is over, and its requests are answered
	Event(Event)
}

const (
	healPatience = 30 * time.Second
	rollEvery    = 100 * time.Millisecond // looks at Consul
)

// Run runs an experiment on a mesh that is up and returns what it found. Where
// ctx ends it, what was hurt is healed and the verdict is Aborted. An error says
// why it could not begin: then nothing was hurt.
func Run(ctx context.Context, e Experiment, o Options) (Journal, error) {
	state, err := o.Fleet.State(ctx)
	if err != nil {
		return Journal{}, err
	}
	if err := e.Fits(state); err != nil {
		return Journal{}, err
	}
	if o.Load == nil {
		o.Load = load.Run
	}
	r := &run{
		e: e, o: o, state: state, timeline: e.Load.timeline(), blow: -1,
		victims: map[string]bool{}, mesh: map[int]Second{},
	}
	capacity, err := r.capacity(ctx)
	if err != nil {
		return Journal{}, err
	}
	r.journal = Journal{
		Version: 1, Name: e.Name, Title: e.Title, Description: e.Description, Stack: state.Stack, Target: o.Target,
		Zipkin: state.Zipkin, Seed: e.Seed, Rate: grain(e.Load.Rate.perSecond(capacity)), Capacity: grain(capacity),
	}
	if err := r.perform(ctx); err != nil {
		return Journal{}, err
	}
	r.close(ctx)
	return r.journal, nil
}

// run is one experiment under way.
type run struct {
	timeline
	e        Experiment
	o        Options
	state    runner.State
	recorder recorder
	journal  Journal
	files    []string // histories

	mu      sync.Mutex
	view    sync.Mutex
	events  []Event
	mesh    map[int]Second // what callers said
	victims map[string]bool
	blow    time.Duration
	memory  [2][]runner.Instance
	consul  []roll
	aborted error

	crowd      sync.WaitGroup // of the fault phase; it leaves when its requests are answered
	unfinished []string       // actions that the fault phase was too short for
}

func (r *run) capacity(ctx context.Context) (float64, error) {
	if !r.e.needsCapacity() {
		return r.e.Capacity(), nil
	}
	if known := r.e.Capacity(); known > 0 {
		return known, nil
	}
	o := load.Options{URL: r.state.Gateway, Mix: r.e.Load.shares(), Wait: healPatience, Seed: r.e.Seed}
	return ramp(ctx, o, r.o.Load, r.say)
}

// perform sends the customers and meanwhile does the method. It returns when
// the customers have left and everything is undone.
func (r *run) perform(ctx context.Context) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	began := make(chan struct{})
	customers := make(chan error, 1)
	go func() {
		customers <- r.customers(ctx, "history", r.journal.Rate, r.end(), func(at time.Time) {
			r.recorder.began = at
			close(began)
		})
	}()
	select {
	case <-began:
	case err := <-customers:
		return errors.Join(err, context.Cause(ctx))
	}
	r.journal.Began = r.recorder.began

	var beside sync.WaitGroup
	over, stop := context.WithCancel(ctx)
	beside.Go(func() { r.watch(over) })
	beside.Go(func() { r.tick(over) })
	beside.Go(func() { r.guard(over, abort) })
	beside.Go(func() { r.callRoll(over) })
	r.conduct(ctx, abort)
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			cause = errors.New("it was ended by Ctrl-C or kitmesh chaos stop")
		}
		r.aborted = cause
		r.event(Event{Kind: "stop", Name: "aborted", Text: cause.Error()})
	}
	r.heal(ctx)
	err := <-customers
	r.crowd.Wait()
	stop()
	beside.Wait()
	r.journal.Ended = time.Now()
	return err
}

// customers sends load and records what it was told.
func (r *run) customers(ctx context.Context, file string, rate float64, d time.Duration, begin func(time.Time)) error {
	if err := os.MkdirAll(r.o.Dir, 0o700); err != nil {
		return fmt.Errorf("create the folder of the history: %w", err)
	}
	name := filepath.Join(r.o.Dir, file+".jsonl")
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the customers' history: %w", err)
	}
	defer f.Close()
	r.mu.Lock()
	r.files = append(r.files, name)
	r.mu.Unlock()
	l := r.e.Load
	_, err = r.o.Load(ctx, load.Options{
		URL: r.state.Gateway, Rate: rate, Duration: d, Wait: healPatience, Mix: l.shares(), Arrivals: load.Arrivals(l.Arrivals),
		Seed: r.e.Seed, BrowseDeadline: l.Deadline, CheckoutDeadline: l.CheckoutDeadline, Probes: promiseTests,
		History: f, Begin: begin, Each: r.recorder.add,
	})
	return err
}

// conduct does what the method says, phase by phase, until the end or ctx ends.
func (r *run) conduct(ctx context.Context, abort context.CancelCauseFunc) {
	for _, p := range r.phases() {
		if !r.sleepUntil(ctx, time.Duration(p.From*float64(time.Second))) {
			return
		}
		r.show(func(v View) { v.Phase(p) })
		r.event(Event{Kind: "phase", Name: p.Name})
		if p.Name == phaseFault && !r.fail(ctx, abort) {
			return
		}
	}
	r.sleepUntil(ctx, r.end())
}

// fail is the fault phase: it does every step at its time and undoes them at the
// end. It returns false when ctx ended first.
func (r *run) fail(ctx context.Context, abort context.CancelCauseFunc) bool {
	r.remember(ctx, 0)
	var doing sync.WaitGroup
	var mu sync.Mutex
	all := map[*Step]Running{}
	for i := range r.e.Method {
		step := &r.e.Method[i]
		doing.Go(func() {
			if !r.sleepUntil(ctx, r.fault.from+step.At) {
				return
			}
			running, err := r.o.Lab.Start(ctx, step.Action, r.e.Targets[step.Action.Target], r.e.Seed+uint64(i), r.note)
			if err != nil {
				abort(fmt.Errorf("%s could not be done: %w", step.Name, err))
				return
			}
			mu.Lock()
			all[step] = running
			mu.Unlock()
		})
	}
	if more := r.e.Load.FaultRate.perSecond(r.journal.Capacity) - r.journal.Rate; more > 0 {
		r.crowd.Go(func() {
			// A crowd that is slow to come does not stay longer.
			ctx, leave := context.WithDeadline(ctx, r.journal.Began.Add(r.fault.to))
			defer leave()
			if err := r.customers(ctx, "crowd", more, r.fault.to-r.since(), nil); err != nil {
				abort(fmt.Errorf("the crowd could not be sent: %w", err))
			}
		})
	}
	ended := r.sleepUntil(ctx, r.fault.to)
	doing.Wait()
	if !ended {
		return false
	}
	r.remember(ctx, 1)
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healPatience)
	defer cancel()
	for step, running := range all {
		doing.Go(func() {
			r.finished(step, running)
			if err := running.Stop(undoing); err != nil {
				r.event(Event{Kind: "heal", Name: "undo", Error: err.Error()})
			}
		})
	}
	doing.Wait()
	return true
}

// finished notes an action that had more to do than the phase had time.
func (r *run) finished(step *Step, running Running) {
	select {
	case <-running.Done():
		return
	default:
	}
	if step.Action.Every > 0 { // it never ends by itself
		return
	}
	r.mu.Lock()
	r.unfinished = append(r.unfinished, step.Name)
	r.mu.Unlock()
}

// note takes down what an action says.
func (r *run) note(n action.Note) {
	e := Event{Kind: n.Kind, Name: n.Action, Target: n.Target, Text: n.Text}
	if n.Err != nil {
		e.Error = n.Err.Error()
	}
	r.mu.Lock()
	if n.Kind == "action" && n.Err == nil {
		r.victims[n.Target] = true
		if r.blow < 0 {
			r.blow = r.since()
		}
	}
	r.mu.Unlock()
	r.event(e)
}

// heal undoes whatever is not undone, also when ctx has ended.
func (r *run) heal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healPatience)
	defer cancel()
	did, err := r.o.Lab.HealAll(ctx)
	for _, text := range did {
		r.event(Event{Kind: "heal", Name: healAll, Text: text})
	}
	if err != nil {
		r.event(Event{Kind: "heal", Name: healAll, Error: err.Error()})
		r.aborted = errors.Join(r.aborted, fmt.Errorf("not everything could be undone, run kitmesh chaos heal: %w", err))
	}
}

// close makes the audit and the judgement.
func (r *run) close(ctx context.Context) {
	m := r.measured()
	if ctx.Err() == nil { // who presses Ctrl-C does not wait for an audit
		m.audit, m.auditErr = r.audit(ctx)
	}
	r.fill(m)
	r.journal.judge(r.e, m, r)
}

// measured is what the run has seen.
func (r *run) measured() *measured {
	all := r.recorder.snapshot()
	m := &measured{
		timeline: r.timeline, samples: all, capacity: r.journal.Capacity, blow: r.blow,
		victims: r.victims, memory: r.memory, consul: r.consul, events: r.events,
	}
	for n := range int(r.journal.Ended.Sub(r.journal.Began).Seconds()) {
		at := time.Duration(n) * time.Second
		if at >= r.end() {
			break
		}
		s := all.second(at)
		s.Mesh, s.Silent = r.mesh[n].Mesh, r.mesh[n].Silent
		m.seconds = append(m.seconds, s)
	}
	return m
}

// fill puts into the journal what needs no judgement.
func (r *run) fill(m *measured) {
	j := &r.journal
	ran := j.Ended.Sub(j.Began).Seconds()
	for _, p := range r.phases() {
		if p.From >= ran {
			break
		}
		p.To = min(p.To, ran)
		p.Stats = m.samples.stats(window{time.Duration(p.From * float64(time.Second)), time.Duration(p.To * float64(time.Second))})
		j.Phases = append(j.Phases, p)
	}
	j.Seconds, j.Events = m.seconds, r.events
	j.Slowest, j.Failed = r.recorder.slowest, r.recorder.failed
	slices.SortStableFunc(j.Events, func(a, b Event) int { return int(1000 * (a.At - b.At)) })
}

func (r *run) audit(ctx context.Context) (*audit.Report, error) {
	r.say("the audit: waiting for orders to end")
	var told []load.History
	for _, name := range r.files {
		h, err := readHistory(name)
		if err != nil {
			return nil, err
		}
		told = append(told, h)
	}
	report, err := r.o.Audit(ctx, told)
	if err != nil {
		return nil, err
	}
	return &report, nil
}

func readHistory(name string) (load.History, error) {
	f, err := os.Open(name)
	if err != nil {
		return load.History{}, err
	}
	defer f.Close()
	return load.ReadHistory(io.Reader(f))
}
