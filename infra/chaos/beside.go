package chaos

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// What goes on beside the phases of a run: looking, showing, and stopping it.

func (r *run) since() time.Duration { return time.Since(r.recorder.began) }

// sleepUntil waits for a moment of the run; false when ctx ended before.
func (r *run) sleepUntil(ctx context.Context, at time.Duration) bool {
	timer := time.NewTimer(at - r.since())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// show tells the view, if there is one.
func (r *run) show(to func(View)) {
	r.view.Lock()
	defer r.view.Unlock()
	if r.o.View != nil {
		to(r.o.View)
	}
}

func (r *run) say(text string) { r.show(func(v View) { v.Say(text) }) }

// event marks the present moment.
func (r *run) event(e Event) {
	e.At = grain(r.since().Seconds())
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	r.show(func(v View) { v.Event(e) })
}

// remember notes who uses how much memory.
func (r *run) remember(ctx context.Context, when int) {
	state, err := r.o.Fleet.State(ctx)
	if err != nil {
		return // the probe that needs it says so
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory[when] = state.Instances
}

func (r *run) watch(ctx context.Context) {
	if r.o.Watch == nil {
		return
	}
	err := r.o.Watch(ctx, r.recorder.began, func(n int, mesh map[string]ServiceSeconds, silent []string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.mesh[n] = Second{Mesh: mesh, Silent: silent}
	})
	if err != nil {
		r.event(Event{Kind: "mesh", Name: "watch", Error: err.Error()})
	}
}

// tick shows each second when it has been over for one: most requests are
// answered then, and the journal counts them all.
func (r *run) tick(ctx context.Context) {
	for n := 0; ; n++ {
		w := secondOf(n)
		if w.to > r.end() || !r.sleepUntil(ctx, w.to+time.Second) {
			return
		}
		second := r.recorder.snapshot().second(w.from)
		r.mu.Lock()
		second.Mesh, second.Silent = r.mesh[n].Mesh, r.mesh[n].Silent
		r.mu.Unlock()
		r.show(func(v View) { v.Second(second) })
	}
}

func secondOf(n int) window {
	return window{time.Duration(n) * time.Second, time.Duration(n+1) * time.Second}
}

// guard aborts when a stop-condition says so. It judges a second when the longest
// deadline of its requests is over: only then they all are answered.
func (r *run) guard(ctx context.Context, abort context.CancelCauseFunc) {
	behind := max(r.e.Load.Deadline, r.e.Load.CheckoutDeadline)
	held := make([]time.Duration, len(r.e.StopConditions))
	for n := 0; len(held) > 0; n++ {
		w := secondOf(n)
		if w.to > r.end() || !r.sleepUntil(ctx, w.to+behind) {
			return
		}
		m := &measured{samples: r.recorder.snapshot()}
		for i, c := range r.e.StopConditions {
			now, reached := c.reached(r.e, m, w)
			if !reached {
				held[i] = 0
				continue
			}
			if held[i] += time.Second; held[i] >= c.For {
				abort(fmt.Errorf("the stop-condition of %s: %s for %s", c.Probe, now, held[i]))
				return
			}
		}
	}
}

// reached measures the probe of a stop-condition in one second.
func (c StopCondition) reached(e Experiment, m *measured, w window) (string, bool) {
	for _, p := range e.Hypothesis.Probes {
		if p.Name != c.Probe {
			continue
		}
		v, err := p.metric().measure(m, p, w, w)
		if err != nil {
			return "", false // a second without a request says nothing
		}
		below, above := math.Inf(-1), math.Inf(1)
		if c.Below != nil {
			below = *c.Below
		}
		if c.Above != nil {
			above = *c.Above
		}
		return p.metric().unit.text(v.x), v.x < below || v.x > above
	}
	return "", false
}

// callRoll looks who is registered in Consul, where a probe asks for it.
func (r *run) callRoll(ctx context.Context) {
	asked := false
	for _, p := range r.e.Hypothesis.Probes {
		asked = asked || p.Metric == "registered_after_s"
	}
	if !asked {
		return
	}
	for at := r.fault.from; r.sleepUntil(ctx, at); at = r.since() + rollEvery {
		health, err := runner.Health(ctx, r.state.Consul)
		look := roll{at: r.since(), answers: err == nil, all: len(r.state.Instances)}
		for _, i := range r.state.Instances {
			if health[i.ID] == "passing" {
				look.passing++
			}
		}
		r.mu.Lock()
		r.consul = append(r.consul, look)
		r.mu.Unlock()
	}
}
