package target

import (
	"fmt"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

const (
	simDeadline = time.Second // of a call
	simTTL      = 800 * time.Millisecond
	simWatch    = 50 * time.Millisecond // until all have heard from the registry
	simWarmUp   = 3 * time.Second       // before something happens
	simBlow     = 5 * time.Second       // that it lasts
	simAfter    = 4 * time.Second       // that are looked at then
)

// simStack is what the callers and the instances wear.
type simStack string

const (
	simKitmesh simStack = "kitmesh"
	simGoKit   simStack = "go-kit"
	simTimed   simStack = "go-kit, tries timed"
)

var simStacks = []simStack{simKitmesh, simGoKit, simTimed}

// simScale is the size of a world.
type simScale struct {
	callers, instances int
	subset             int // of the instances, that one caller of the mesh knows
}

// String names the size.
func (s simScale) String() string {
	return fmt.Sprintf("%d x %d, %d", s.callers, s.instances, s.subset)
}

// rate is how many calls per second make a load.
func (s simScale) rate(load float64) float64 {
	return load * float64(s.instances) * simWorkers / simWork.Seconds()
}

// simCaller is a client of the service.
type simCaller interface {
	call()
	learn() // what the registry lists
}

// simWorld is a service and those who call it. Customers arrive at the callers
// by chance and do not wait for each other.
type simWorld struct {
	clock    *simClock
	scale    simScale
	servers  []*simServer
	byAddr   map[string]*simServer
	listed   []*simServer        // in the registry
	registry *discovery.Snapshot // the same
	callers  []simCaller         // customers come to these
	rate     float64             // customers per second
	arrival  time.Duration
	victim   func(*simServer) bool
	tally    simTally

	meshCalls  simTimeouts[*simCall]
	stockCalls simTimeouts[*simStockCall]
	stockTries simTimeouts[*simTry]
}

func newSimWorld(scale simScale, s simScenario, stack simStack, seed uint64) *simWorld {
	clock := newSimClock(seed)
	w := &simWorld{clock: clock, scale: scale, rate: scale.rate(s.load), byAddr: map[string]*simServer{}, victim: s.victim}
	w.meshCalls = simTimeouts[*simCall]{clock: clock, after: simDeadline, expire: (*simCall).expire}
	w.stockCalls = simTimeouts[*simStockCall]{clock: clock, after: simDeadline, expire: (*simStockCall).expire}
	w.stockTries = simTimeouts[*simTry]{clock: clock, after: simDeadline / simStockTries, expire: func(t *simTry) { t.done(errLate) }}
	for i := range scale.instances {
		server := newSimServer(clock, i, stack == simKitmesh)
		w.servers = append(w.servers, server)
		w.byAddr[server.instance.Addr] = server
	}
	for i, lot := range clock.Perm(scale.instances) {
		w.servers[i].lot = float64(lot) / float64(scale.instances)
	}
	w.list()
	for i := range scale.callers {
		if stack == simKitmesh {
			w.callers = append(w.callers, newSimMesh(w, i))
			continue
		}
		w.callers = append(w.callers, &simStock{
			world: w, zone: i % simZones, timed: stack == simTimed, set: w.listed, next: clock.IntN(scale.instances),
		})
	}
	w.clock.after(0, w.arrive)
	return w
}

// arrive sends the customers of now to the callers.
func (w *simWorld) arrive() {
	for w.arrival <= w.clock.now {
		w.callers[w.clock.IntN(len(w.callers))].call()
		w.arrival += w.clock.exponential(float64(time.Second) / w.rate)
	}
	w.clock.after(w.arrival-w.clock.now, w.arrive)
}

// try sends a request to an instance.
func (w *simWorld) try(zone int, to *simServer, done func(error)) *simTry {
	w.tally.sent(w.clock.now, w.victim != nil && w.victim(to))
	t := &simTry{to: to, travel: simFar, done: done}
	if zone == to.zone {
		t.travel = simNear
	}
	t.send()
	return t
}

// list makes the registry list those who are in it now.
func (w *simWorld) list() {
	w.registry, w.listed = &discovery.Snapshot{Ready: true}, nil
	for _, s := range w.servers {
		if s.listed {
			w.listed = append(w.listed, s)
			w.registry.Instances = append(w.registry.Instances, s.instance)
		}
	}
}

// publish tells everybody what the registry lists now, one after the other.
func (w *simWorld) publish() {
	w.list()
	for _, c := range w.callers {
		w.clock.after(time.Duration(w.clock.Int64N(int64(simWatch))), c.learn)
	}
}

// each does something to every victim.
func (w *simWorld) each(do func(*simServer)) {
	for _, s := range w.servers {
		if w.victim(s) {
			do(s)
		}
	}
}

// simulate runs one scenario and returns what its customers saw.
func simulate(scale simScale, s simScenario, stack simStack, seed uint64) simResult {
	w := newSimWorld(scale, s, stack, seed)
	w.tally = newSimTally(simWarmUp, simWarmUp+s.counted, simWarmUp+simBlow+simAfter)
	w.clock.after(simWarmUp, func() {
		if end := s.begin; end != nil {
			w.clock.after(s.lasts, end(w))
		}
	})
	// The calls that begin last have their time to end.
	w.clock.run(w.tally.end + simDeadline + time.Millisecond)
	return w.tally.result(s, stack, scale)
}
