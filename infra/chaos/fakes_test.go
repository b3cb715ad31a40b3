package chaos

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// fleet is a mesh of one instance of each service.
type fleet struct {
	runner.Fleet
	state runner.State
}

func (f fleet) State(context.Context) (runner.State, error) { return f.state, nil }

func newFleet(n int) fleet {
	f := fleet{state: runner.State{Stack: "mesh", Gateway: "http://shop", Control: "http://control"}}
	for _, service := range runner.Services {
		for i := range n {
			f.state.Instances = append(f.state.Instances, runner.Instance{Service: service, ID: service + "-" + string(rune('1'+i)), Status: "running", RSSBytes: 20e6})
		}
	}
	return f
}

// lab notes what is asked of it, with the time.
type lab struct {
	start  time.Time
	fails  error // of Start
	mu     sync.Mutex
	events []string
	healed time.Duration
}

func (l *lab) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, what+" "+time.Since(l.start).Round(10*time.Millisecond).String())
}

func (l *lab) Start(_ context.Context, s action.Spec, t action.Target, _ uint64, note func(action.Note)) (Running, error) {
	if l.fails != nil {
		return nil, l.fails
	}
	l.note(s.Action)
	note(action.Note{Kind: "action", Action: s.Action, Target: t.Service + "-1", Text: "sent SIGKILL"})
	return &acting{lab: l, name: s.Action}, nil
}

func (l *lab) HealAll(context.Context) ([]string, error) {
	l.note("heal")
	l.healed = time.Since(l.start)
	return []string{"catalog-1 runs again"}, nil
}

type acting struct {
	lab  *lab
	name string
}

func (a *acting) Done() <-chan struct{} {
	done := make(chan struct{})
	if a.name != "rolling-restart" {
		close(done)
	}
	return done
}

func (a *acting) Stop(ctx context.Context) error {
	a.lab.note("stop " + a.name)
	return ctx.Err()
}

// shop is a load.Run whose answers come from a function.
type shop struct {
	answer func(at time.Duration, a *load.Answer) // may change it; nil: all is well in 10 ms
	learns time.Duration                          // until the first request

	mu   sync.Mutex
	runs []load.Options
}

func (s *shop) load(ctx context.Context, o load.Options) (load.Result, error) {
	s.mu.Lock()
	s.runs = append(s.runs, o)
	s.mu.Unlock()
	time.Sleep(s.learns)
	start := time.Now()
	if o.Begin != nil {
		o.Begin(start)
	}
	var flying sync.WaitGroup
	defer flying.Wait()
	for n := 0; ; n++ {
		at := time.Duration(float64(n) / o.Rate * float64(time.Second))
		wait := min(at, o.Duration)
		select {
		case <-time.After(wait - time.Since(start)):
		case <-ctx.Done():
		}
		if at >= o.Duration || ctx.Err() != nil {
			break
		}
		a := load.Answer{Op: load.Browse, Intended: start.Add(at), Status: 200, Tries: 1}
		if n%5 == 4 {
			a.Op = load.Checkout
		}
		took := 10 * time.Millisecond
		a.Done = a.Intended.Add(took)
		if s.answer != nil {
			s.answer(at, &a)
		}
		flying.Go(func() {
			time.Sleep(time.Until(a.Done))
			if o.Each != nil {
				o.Each(a)
			}
		})
	}
	_, err := o.History.Write([]byte(`{"op":"end"}` + "\n"))
	return load.Result{}, err
}

// view counts what it is shown.
type view struct {
	phases  []string
	seconds []Second
	events  []Event
}

func (v *view) Say(string)      {}
func (v *view) Phase(p Phase)   { v.phases = append(v.phases, p.Name) }
func (v *view) Second(s Second) { v.seconds = append(v.seconds, s) }
func (v *view) Event(e Event)   { v.events = append(v.events, e) }

// bench is everything a run needs, faked.
type bench struct {
	t      *testing.T
	e      Experiment
	lab    *lab
	shop   *shop
	view   *view
	report audit.Report
	told   []load.History // what the audit was given
	audits int
}

const benchText = `version: 1
title: kill one
mesh: {instances: 1}
targets: {victim: {service: catalog}}
load: {rate: 50, warmup: 2s, baseline: 4s, duration: 6s, recovery: 3s}
steady-state-hypothesis:
  title: customers notice nothing
  probes:
  - {type: probe, name: reads, provider: {type: load, metric: success, op: browse}, tolerance: 1.0}
  - {type: probe, name: p99, provider: {type: load, metric: p99_vs_baseline}, tolerance: [0, 1.5]}
  - {type: probe, name: audit, provider: {type: audit, check: all}, tolerance: 0}
method:
- {type: action, name: kill, provider: {type: mesh, action: kill, target: victim}}
- {type: action, name: later, at: 2s, provider: {type: mesh, action: pause, target: victim}}
stop-conditions:
- {probe: reads, below: 0.5, for: 2s}
`

func newBench(t *testing.T) *bench {
	t.Helper()
	e, err := Parse("bench.yaml", []byte(benchText))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		t: t, e: e, lab: &lab{start: time.Now()}, shop: &shop{}, view: &view{},
		report: audit.Report{Orders: 10, Checks: []audit.Check{{Name: "once", Checked: 10}}},
	}
}

func (b *bench) run(ctx context.Context) (Journal, error) {
	b.t.Helper()
	return Run(ctx, b.e, Options{
		Fleet: newFleet(b.e.Mesh.Instances), Lab: b.lab, Target: "local", Dir: b.t.TempDir(), View: b.view, Load: b.shop.load,
		Audit: func(_ context.Context, told []load.History) (audit.Report, error) {
			b.audits++
			b.told = told
			return b.report, nil
		},
		Watch: func(ctx context.Context, began time.Time, seen func(int, map[string]ServiceSeconds, []string)) error {
			for n := 0; ; n++ {
				select {
				case <-time.After(time.Until(began.Add(time.Duration(n+1) * time.Second))):
					seen(n, map[string]ServiceSeconds{"catalog": {Calls: 10, Tries: 1.1, Instances: map[string]float64{"catalog-1": 1, "catalog-2": 9}}}, nil)
				case <-ctx.Done():
					return nil
				}
			}
		},
	})
}

func (b *bench) mustRun() Journal {
	b.t.Helper()
	j, err := b.run(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bench) want(j Journal, verdict Verdict) {
	b.t.Helper()
	if j.Code() != verdict {
		b.t.Errorf("the verdict is %s (%s), want %s", j.Verdict, j.Why, verdict)
	}
}

var errRefused = errors.New("min-healthy is 2: kill is refused")
