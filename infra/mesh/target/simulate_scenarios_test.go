package target

import "time"

// simScenario is something that happens to a service under load.
type simScenario struct {
	name   string
	what   string
	load   float64               // part of the capacity
	victim func(*simServer) bool // whom it happens to; nil: nobody in particular
	// begin makes it happen and returns what ends it, lasts later.
	begin func(*simWorld) (end func())
	lasts time.Duration
	// counted is how much of the time from the begin on the table is about.
	counted time.Duration
}

func oneInTen(s *simServer) bool { return s.lot < 0.1 }
func zoneZero(s *simServer) bool { return s.zone == 0 }
func everybody(*simServer) bool  { return true }

var simScenarios = []simScenario{
	{name: "steady", what: "nothing happens", load: 0.6, counted: simBlow},
	{
		name: "kill", what: "a tenth dies", load: 0.6, victim: oneInTen,
		begin: func(w *simWorld) func() {
			w.each((*simServer).kill)
			return w.lost()
		},
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "slow", what: "a tenth needs 200 ms more", load: 0.6, victim: oneInTen,
		begin: func(w *simWorld) func() {
			w.each(func(s *simServer) { s.slow = 200 * time.Millisecond })
			return func() { w.each(func(s *simServer) { s.slow = 0 }) }
		},
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "gray", what: "a tenth fails half of its requests", load: 0.6, victim: oneInTen,
		begin: func(w *simWorld) func() {
			w.each(func(s *simServer) { s.failing = 0.5 })
			return func() { w.each(func(s *simServer) { s.failing = 0 }) }
		},
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "partial", what: "a tenth fails 5 % of its requests", load: 0.6, victim: oneInTen,
		begin: func(w *simWorld) func() {
			w.each(func(s *simServer) { s.failing = 0.05 })
			return func() { w.each(func(s *simServer) { s.failing = 0 }) }
		},
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "stall", what: "a tenth takes requests and says nothing", load: 0.6, victim: oneInTen,
		begin: (*simWorld).stop,
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "zone loss", what: "a third falls silent, all load on the rest", load: 0.6, victim: zoneZero,
		begin: func(w *simWorld) func() {
			w.each(func(s *simServer) { s.gone = true })
			all := w.callers
			w.callers = nil
			for i, c := range all {
				if i%simZones != 0 {
					w.callers = append(w.callers, c)
				}
			}
			end := w.lost()
			return func() {
				w.callers = all
				end()
			}
		},
		lasts: simBlow, counted: simBlow,
	},
	{
		name: "storm", what: "nobody answers for 1 s, at 80 % load", load: 0.8, victim: everybody,
		begin: (*simWorld).stop,
		lasts: time.Second, counted: simBlow + simAfter,
	},
	{
		name: "overload", what: "twice the capacity for 5 s", load: 0.6,
		begin: func(w *simWorld) func() {
			before := w.rate
			w.rate = w.scale.rate(2)
			return func() { w.rate = before }
		},
		lasts: simBlow, counted: simBlow,
	},
}

func simScenarioOf(name string) simScenario {
	for _, s := range simScenarios {
		if s.name == name {
			return s
		}
	}
	panic("no scenario " + name)
}

// lost has the registry miss the victims after their TTL, and returns what
// brings them back as new processes.
func (w *simWorld) lost() (back func()) {
	w.clock.after(simTTL, func() {
		w.each(func(s *simServer) { s.listed = false })
		w.publish()
	})
	return func() {
		w.each((*simServer).start)
		w.publish()
	}
}

// stop has the victims hang until the returned function lets them go on. Their
// heartbeat goes on all the while: the registry has nothing to say.
func (w *simWorld) stop() (goOn func()) {
	var all []func()
	w.each(func(s *simServer) { all = append(all, s.hang()) })
	return func() {
		for _, goOn := range all {
			goOn()
		}
	}
}
