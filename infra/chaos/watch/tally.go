package watch

import (
	"cmp"
	"math"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// tally turns counters that only grow, or begin again at 0, into what happened
// in a second.
type tally struct {
	callers map[string]*counted
}

func newTally() *tally { return &tally{callers: map[string]*counted{}} }

// counted is what one caller had counted when it last answered.
type counted struct {
	at    time.Time
	round bool // it answered in the round before this one
	calls map[string]uint64
	tries map[string]uint64 // first tries and retries
	picks map[member]uint64
}

type member struct{ service, id, addr string }

// count adds up what v says. A caller may have several clients of one service.
func count(v *view, at time.Time) *counted {
	c := &counted{at: at, round: true, calls: map[string]uint64{}, tries: map[string]uint64{}, picks: map[member]uint64{}}
	for _, t := range v.Targets {
		c.calls[t.Service] += t.Calls
		c.tries[t.Service] += t.Calls + t.Retries
		for _, m := range t.Members {
			c.picks[member{t.Service, m.ID, m.Addr}] += m.Picks
		}
	}
	return c
}

// restarted reports whether c is of another process than was: it began again.
func (c *counted) restarted(was *counted) bool {
	for service, calls := range c.calls {
		if calls < was.calls[service] {
			return true
		}
	}
	return false
}

// since returns the growth of a counter; one that shrank began again.
func since(is, was uint64) float64 {
	if is < was {
		return float64(is)
	}
	return float64(is - was)
}

// second tells what the callers that answered did since they were asked before,
// per second, and whom they hold out now. A caller counts from its second answer
// in a row on; after a restart its counters are all of this second.
func (t *tally) second(answered map[string]*view, ids map[string]string, now time.Time) map[string]chaos.ServiceSeconds {
	mesh := map[string]*seconds{}
	of := func(service string) *seconds {
		if mesh[service] == nil {
			mesh[service] = newSeconds()
		}
		return mesh[service]
	}
	for caller, v := range answered {
		is, was := count(v, now), t.callers[caller]
		t.callers[caller] = is
		stand(v, ids, of)
		if was == nil || !was.round && !is.restarted(was) {
			continue
		}
		if is.restarted(was) {
			was = &counted{at: later(was.at, now.Add(-time.Second))}
		}
		is.add(was, ids, of)
	}
	for caller, c := range t.callers {
		c.round = answered[caller] != nil
	}
	out := map[string]chaos.ServiceSeconds{}
	for service, s := range mesh {
		out[service] = s.done()
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// add books the growth from was to c, per second.
func (c *counted) add(was *counted, ids map[string]string, of func(service string) *seconds) {
	took := max(c.at.Sub(was.at).Seconds(), 0.1)
	for service, calls := range c.calls {
		s := of(service)
		s.Calls += since(calls, was.calls[service]) / took
		s.tries += since(c.tries[service], was.tries[service]) / took
	}
	for m, picks := range c.picks {
		if n := since(picks, was.picks[m]); n > 0 {
			of(m.service).Instances[named(m.id, m.addr, ids)] += n / took
		}
	}
}

// stand books who is out of rotation for the caller that says v. One that holds
// calls and is silent is out too: it gets no others.
func stand(v *view, ids map[string]string, of func(service string) *seconds) {
	type standing struct {
		out, open bool
		since     float64 // seconds; 0: it is not told
	}
	callees := map[string]map[string]standing{} // by service and id: several clients are one caller
	for _, t := range v.Targets {
		if callees[t.Service] == nil {
			callees[t.Service] = map[string]standing{}
		}
		for _, m := range t.Members {
			id := named(m.ID, m.Addr, ids)
			is := callees[t.Service][id]
			is.out = is.out || m.Ejected != "" || m.Suspect
			is.since = max(is.since, float64(m.OutMillis)/1000)
			is.open = is.open || m.Breaker != "" && m.Breaker != "closed"
			callees[t.Service][id] = is
		}
	}
	for service, members := range callees {
		s := of(service)
		s.Callers++
		for id, is := range members {
			s.Instances[id] += 0
			if is.out {
				s.Ejected[id]++
			}
			if is.since > 0 {
				s.Out[id] = max(s.Out[id], is.since)
			}
			if is.open {
				s.Open[id]++
			}
		}
	}
}

// named is the id of an instance; stock go-kit knows addresses only.
func named(id, addr string, ids map[string]string) string {
	if id == addr {
		return cmp.Or(ids[addr], addr)
	}
	return id
}

// seconds is a chaos.ServiceSeconds that is being added up.
type seconds struct {
	chaos.ServiceSeconds
	tries float64 // hedges are not among them
}

func newSeconds() *seconds {
	return &seconds{ServiceSeconds: chaos.ServiceSeconds{
		Ejected: map[string]int{}, Open: map[string]int{}, Out: map[string]float64{}, Instances: map[string]float64{},
	}}
}

// done rounds to what a reader can use. The tries by instance have the hedges, and
// lack those to an instance that its callers have forgotten since.
func (s *seconds) done() chaos.ServiceSeconds {
	tries := 0.0
	for id, n := range s.Instances {
		tries += n
		s.Instances[id] = round(n, 1)
	}
	if s.Calls > 0 {
		s.Tries = round(max(tries, s.tries)/s.Calls, 4)
		s.Retries = round(s.tries/s.Calls-1, 4)
	}
	s.Calls = round(s.Calls, 1)
	return s.ServiceSeconds
}

func round(x float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(x*unit) / unit
}
