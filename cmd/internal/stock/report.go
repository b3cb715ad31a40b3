package stock

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-kit/kit/endpoint"
	"github.com/sony/gobreaker"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// called is one called service and what became of the tries. Stock go-kit does
// not count them; experiments have to see both stacks alike.
type called struct {
	service string
	calls   atomic.Uint64
	retries atomic.Uint64

	mu      sync.Mutex
	members map[string]*member // by address; the departed stay, with their counts
}

func (s *Stack) call(service string) *called {
	c := &called{service: service, members: map[string]*member{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = append(s.called, c)
	return c
}

// member is one instance, over all methods.
type member struct {
	addr            string
	picks, failures atomic.Uint64
	inFlight        atomic.Int64

	mu    sync.Mutex
	conns []*opened
}

func (c *called) member(addr string) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[addr]
	if m == nil {
		m = &member{addr: addr}
		c.members[addr] = m
	}
	return m
}

// sent counts what really goes to the instance.
func (m *member) sent(e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		m.picks.Add(1)
		m.inFlight.Add(1)
		defer m.inFlight.Add(-1)
		response, err := e(ctx, request)
		if err != nil {
			m.failures.Add(1)
		}
		return response, err
	}
}

// opened is one method's connection to a member; the endpointer closes it when
// Consul takes the instance away.
type opened struct {
	io.Closer
	member  *member
	breaker *gobreaker.CircuitBreaker // nil: none
}

func (m *member) open(conn io.Closer, breaker *gobreaker.CircuitBreaker) *opened {
	o := &opened{conn, m, breaker}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, o)
	return o
}

// Close closes the connection.
func (o *opened) Close() error {
	o.member.mu.Lock()
	o.member.conns = slices.DeleteFunc(o.member.conns, func(other *opened) bool { return other == o })
	o.member.mu.Unlock()
	return o.Closer.Close()
}

// report is m in the words of the mesh. One open breaker shows as open.
func (m *member) report() target.MemberReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := target.MemberReport{
		ID: m.addr, Addr: m.addr, Weight: 1, State: "ready", Breaker: gobreaker.StateClosed.String(),
		InFlight: m.inFlight.Load(), Picks: m.picks.Load(), Failures: m.failures.Load(), SlowStart: 1,
	}
	if len(m.conns) == 0 {
		r.State = "gone"
	}
	for _, o := range m.conns {
		if o.breaker != nil && o.breaker.State() != gobreaker.StateClosed {
			r.Breaker = o.breaker.State().String()
		}
	}
	return r
}

func (c *called) report() target.Report {
	r := target.Report{Service: c.service, Ready: true, Calls: c.calls.Load(), Retries: c.retries.Load(), Members: []target.MemberReport{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		r.Members = append(r.Members, m.report())
	}
	slices.SortFunc(r.Members, func(a, b target.MemberReport) int { return cmp.Compare(a.ID, b.ID) })
	return r
}

// Handler serves what the process knows of those it calls, in the form of the
// mesh's own page; mount it at /mesh on the admin port. Stock go-kit knows
// instances by address only.
func (s *Stack) Handler() http.Handler {
	return target.Page(func() []target.Report {
		s.mu.Lock()
		all := slices.Clone(s.called)
		s.mu.Unlock()
		reports := []target.Report{}
		for _, c := range all {
			reports = append(reports, c.report())
		}
		return reports
	})
}
