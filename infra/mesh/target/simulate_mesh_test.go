package target

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// simMesh calls through a Target, whose steps it takes one by one where Do
// would wait.
type simMesh struct {
	world  *simWorld
	zone   int
	target *Target
	flying []*simCall
	rounds bool // the sweeper is not at rest
}

func newSimMesh(w *simWorld, i int) *simMesh {
	m := &simMesh{world: w, zone: i % simZones}
	m.target = assemble(Options{
		Service: "x",
		Source:  simSource{w.registry},
		Retry:   Retry{TryShare: 0.5}, // as the services of the shop have it
		Balance: Balance{Subset: w.scale.subset, Caller: fmt.Sprint("caller-", i), Zone: simZone(m.zone)},
		Rand:    w.clock.Uint64,
	})
	m.target.sweeping.Store(true) // its sweeper is ours
	return m
}

type simSource struct{ snapshot *discovery.Snapshot }

func (s simSource) Snapshot() *discovery.Snapshot { return s.snapshot }

// simCall is one call and, to the code that is simulated, its context.
type simCall struct {
	caller *simMesh
	began  time.Duration
	until  time.Time
	late   bool
	cancel func() // of the try's context
	p      progress
	f      *flight
	pass   permit
	try    *simTry
	ended  bool
}

func (c *simCall) over() bool { return c.ended }

// expire ends the caller's time.
func (c *simCall) expire() {
	c.late = true
	if c.cancel != nil {
		c.cancel()
	}
	if c.f != nil {
		c.done(c.Err())
	}
}

var never = make(chan struct{})

// Deadline implements context.Context.
func (c *simCall) Deadline() (time.Time, bool) { return c.until, true }

// Done implements context.Context: nobody waits for it here.
func (c *simCall) Done() <-chan struct{} { return never }

// Err implements context.Context.
func (c *simCall) Err() error {
	if c.late {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context.
func (c *simCall) Value(any) any { return nil }

// AfterFunc is how package context has a child end with its parent, without a
// goroutine.
func (c *simCall) AfterFunc(end func()) (stop func() bool) {
	c.cancel = end
	return func() bool {
		c.cancel = nil
		return true
	}
}

func (m *simMesh) call() {
	w := m.world
	c := &simCall{caller: m, began: w.clock.now, until: time.Now().Add(simDeadline)}
	c.p.method = m.target.method("x.Read")
	w.meshCalls.add(c)
	if err := m.target.throttled(c, &c.p); err != nil {
		c.end(err)
		return
	}
	m.target.begin(&c.p)
	c.again()
}

func (c *simCall) again() {
	m := c.caller
	in, pass, err := m.target.choose(c, &c.p)
	if err != nil {
		c.end(err)
		return
	}
	c.pass, c.f = pass, m.target.depart(c, &c.p, in)
	c.try = m.world.try(m.zone, m.world.byAddr[in.addr], c.done)
	m.flying = append(m.flying, c)
	if !m.rounds {
		m.rounds = true
		m.world.clock.after(0, m.round)
	}
}

func (c *simCall) done(err error) {
	m, t := c.caller, c.caller.target
	c.try.left = true
	f := c.f
	c.f = nil
	m.flying = slices.DeleteFunc(m.flying, func(o *simCall) bool { return o == c })
	err = t.arrive(c, &c.p, f, err)
	t.land(c, f, c.pass, err)
	if err == nil {
		c.end(nil)
		return
	}
	why, delay := t.verdict(c, &c.p, err)
	if why != "" {
		c.end(err)
		return
	}
	m.world.clock.after(delay, c.again)
}

func (c *simCall) end(err error) {
	c.ended = true
	c.caller.world.tally.ended(c.began, c.caller.world.clock.now, c.p.went.n, err)
}

// round is what the sweeper does, and what the tries do that it ended.
func (m *simMesh) round() {
	next, busy := m.target.round(m.target.now(), false)
	for _, c := range slices.Clone(m.flying) {
		if c.f != nil && c.f.Err() != nil {
			c.done(c.f.Err())
		}
	}
	if m.rounds = busy; busy {
		m.world.clock.after(next, m.round)
	}
}

// learn is told by the registry who is there.
func (m *simMesh) learn() { m.target.apply(m.world.registry) }
