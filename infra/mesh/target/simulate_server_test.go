package target

import (
	"fmt"
	"syscall"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/services/fault"
)

const (
	simWorkers = 4
	simWork    = 10 * time.Millisecond // the mean of a request
	simSpread  = 0.6
	simBacklog = 1000 // requests that wait for a worker, at most
	simZones   = 3
	simNear    = 250 * time.Microsecond // one way within a zone
	simFar     = time.Millisecond       // and between two
)

// simServer is an instance: requests wait in one queue for a few workers. Work
// that was begun or waits is done although the caller may have left, as code
// does that does not look at its context all the time.
type simServer struct {
	*simClock
	instance discovery.Instance
	zone     int
	lot      float64 // 0 to 1: victims are drawn by it
	mesh     bool    // it wears the mesh's shedding
	admit    simAdmission

	listed  bool          // in the registry
	down    bool          // refuses connections
	gone    bool          // its host is: nothing answers
	hung    bool          // takes requests and says nothing
	slow    time.Duration // more
	failing float64       // the part of the requests that fail

	era     int // of the process: an earlier one's work is lost
	working []*simTry
	waiting []*simTry
	held    []func() // while hung
}

// simTry is one request on its way to an instance and back.
type simTry struct {
	to      *simServer
	travel  time.Duration // one way
	done    func(error)   // what the caller does with the answer
	left    bool          // the caller does not wait any more
	release func(error)   // gives back the server's admission
}

func (t *simTry) over() bool { return t.left }

var (
	errSimRefused  = fault.Wrap(fault.Unavailable, syscall.ECONNREFUSED, "nobody listens there")
	errSimClosed   = fault.New(fault.Unavailable, "the connection closed")
	errSimFailed   = fault.New(fault.Internal, "a part of the instance is broken")
	errSimOverload = fault.New(fault.Overloaded, "too many requests wait")
)

func newSimServer(c *simClock, i int, mesh bool) *simServer {
	s := &simServer{simClock: c, zone: i % simZones, mesh: mesh}
	s.instance = discovery.Instance{
		Service: "x", ID: fmt.Sprintf("x-%04d", i), Addr: fmt.Sprintf("10.%d.%d.%d:80", s.zone, i>>8, i&255),
		Zone: simZone(s.zone), Weight: 1,
	}
	s.start()
	return s
}

func simZone(i int) string { return fmt.Sprintf("zone-%d", i) }

// start makes it a new process.
func (s *simServer) start() {
	s.era++
	s.listed = true
	s.down, s.gone, s.hung, s.slow, s.failing = false, false, false, 0, 0
	s.instance.Started = fmt.Sprint(s.era)
	s.working, s.waiting, s.held = nil, nil, nil
	s.admit = newSimAdmission(s.mesh)
}

// send puts a request on its way.
func (t *simTry) send() { t.to.after(t.travel, t.to.receive(t)) }

func (s *simServer) receive(t *simTry) func() {
	return func() {
		switch {
		case s.gone:
		case s.down:
			s.answer(t, errSimRefused)
		case s.hung:
			s.held = append(s.held, s.receive(t))
		default:
			s.serve(t)
		}
	}
}

func (s *simServer) serve(t *simTry) {
	release, err := s.admit()
	if err != nil {
		s.answer(t, err)
		return
	}
	t.release = release
	switch {
	case s.failing > 0 && s.Float64() < s.failing:
		s.answer(t, errSimFailed)
	case s.slow > 0:
		era := s.era
		s.after(s.slow, func() {
			if era == s.era {
				s.enqueue(t)
			}
		})
	default:
		s.enqueue(t)
	}
}

func (s *simServer) enqueue(t *simTry) {
	switch {
	case len(s.working) < simWorkers:
		s.begin(t)
	case len(s.waiting) < simBacklog:
		s.waiting = append(s.waiting, t)
	default:
		s.answer(t, errSimOverload)
	}
}

func (s *simServer) begin(t *simTry) {
	s.working = append(s.working, t)
	era := s.era
	var finish func()
	finish = func() {
		switch {
		case era != s.era || s.gone:
			return
		case s.hung:
			s.held = append(s.held, finish)
			return
		}
		for i, other := range s.working {
			if other == t {
				s.working[i] = s.working[len(s.working)-1]
				s.working = s.working[:len(s.working)-1]
				break
			}
		}
		s.answer(t, nil)
		if len(s.waiting) > 0 {
			next := s.waiting[0]
			s.waiting[0] = nil
			s.waiting = s.waiting[1:]
			s.begin(next)
		}
	}
	s.after(s.lognormal(simWork, simSpread), finish)
}

// answer sends the outcome back.
func (s *simServer) answer(t *simTry, err error) {
	if t.release != nil {
		t.release(err)
		t.release = nil
	}
	s.after(t.travel, func() {
		if !t.left {
			t.done(err)
		}
	})
}

// kill ends the process: its connections break.
func (s *simServer) kill() {
	s.era++
	s.down = true
	for _, t := range append(s.working, s.waiting...) {
		s.answer(t, errSimClosed)
	}
	s.working, s.waiting, s.held = nil, nil, nil
}

// hang stops the process until the returned function lets it go on, with all
// that came meanwhile.
func (s *simServer) hang() (goOn func()) {
	s.hung = true
	return func() {
		s.hung = false
		held := s.held
		s.held = nil
		for _, do := range held {
			do()
		}
	}
}
