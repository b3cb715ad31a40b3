package target

import (
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/middleware"
)

const (
	refusedMin = 50 * time.Millisecond
	refusedMax = time.Second
)

// Member is one instance as this caller sees it: its connection, its breaker and
// what happened to the calls. It lives as long as the instance stays known under
// the same id and address.
type Member struct {
	// All that a pick reads of a candidate is in the first cache line. With many
	// instances a line that is not in the cache costs more than all the rest of a
	// pick; TestMemberLines holds the layout.
	target *Target
	// A refused connection is evidence of the caller's own: the member is left
	// alone for a growing time. It matters where no gRPC connection tells.
	refusedUntil atomic.Int64 // nanoseconds since the target's start
	since        atomic.Int64 // of the slow start, since the target's start; 0: none
	latency      latency
	inFlight     atomic.Int32
	weight       atomic.Int32 // the instance's
	conn         atomic.Int32 // the connection's state, which the link writes
	tripped      atomic.Bool  // the breaker is not closed: it must be asked
	stall        stall

	// The next three lines, with the begin of the breaker, are what a call needs
	// of the member it goes to. A pick touches them beforehand, see look.
	labels    atomic.Pointer[labels]
	endpoints atomic.Pointer[[]endpoint.Endpoint] // by Target.Endpoint's slot
	picks     atomic.Uint64
	refusals  atomic.Int32
	retired   atomic.Bool // no new calls; closed when the last one ends
	outcomes  outcomes
	id, addr  string
	mean      atomic.Uint64 // see average
	breaker   middleware.Breaker

	instance atomic.Pointer[discovery.Instance]
	link     *link
	failures atomic.Uint64 // tries that ended with the instance to blame
	wasReady atomic.Bool   // the connection has been ready before
	ended    atomic.Bool   // the connection was closed
	out      atomic.Uint32 // the reasons why it is out of rotation

	shedUntil atomic.Int64 // when it may be well again; since the target's start
	outSince  atomic.Int64 // when it left the rotation, while out; since the target's start
}

// labels are what members have in common with many others: one copy for all is
// in the cache when a call asks.
type labels struct{ zone, version string }

func (t *Target) newMember(instance discovery.Instance) *Member {
	m := &Member{target: t, id: instance.ID, addr: instance.Addr}
	m.describe(instance)
	m.breaker.Init(t.breakerOf(m))
	m.link = newLink(instance.Addr, t.dialOptions, &m.conn, m.connected)
	return m
}

// Instance is what discovery last said about the member.
func (m *Member) Instance() discovery.Instance { return *m.instance.Load() }

// Addr is the host:port of the instance.
func (m *Member) Addr() string { return m.addr }

// Conn is the gRPC connection to the instance, shared by all methods and
// dialled when first used.
func (m *Member) Conn() grpc.ClientConnInterface { return m.link }

// InFlight is how many calls run on the member now.
func (m *Member) InFlight() int { return int(m.inFlight.Load()) }

// update takes what discovery says now. A new start time means another process
// at the same address: what was held against the old one is forgotten.
func (m *Member) update(instance discovery.Instance) {
	old := m.instance.Load()
	m.describe(instance)
	if old.Started != instance.Started {
		m.breaker.Reset()
		m.outcomes.forget()
		m.latency.reset()
		m.clear("it restarted")
		m.startSlowly()
		m.refusals.Store(0)
		m.refusedUntil.Store(0)
		m.link.wake()
	}
}

// describe takes over what discovery says.
func (m *Member) describe(instance discovery.Instance) {
	m.instance.Store(&instance)
	m.weight.Store(weight(instance))
	m.labels.Store(m.target.labelsOf(instance))
}

// labelsOf returns the one copy of the labels. Only apply calls it.
func (t *Target) labelsOf(instance discovery.Instance) *labels {
	key := labels{instance.Zone, instance.Version}
	if t.labels[key] == nil {
		t.labels[key] = &key
	}
	return t.labels[key]
}

// look has the cache lines fetched that a call on the member needs, at the price
// of one: the loads do not wait for each other. Where a member is used in turn
// with thousands they would be fetched one after the other.
func (m *Member) look() {
	_ = m.inFlight.Load()
	_ = m.picks.Load()
	_ = m.retired.Load()
	_ = m.breaker.Look()
}

// weight fits the share of an instance into what a pick reads.
func weight(i discovery.Instance) int32 { return int32(min(max(i.Weight, 1), 1<<20)) }

// fitness says how good a choice a member is now.
type fitness int

const (
	hopeless  fitness = iota // refused, unreachable or with an open breaker
	suspected                // holds calls and is silent
	due                      // was out long enough: a single call finds out
	warming                  // not connected yet: a call may have to wait
	fit
)

func (m *Member) fitness(now time.Duration) fitness {
	tripped := m.tripped.Load()
	if m.refusedUntil.Load() > int64(now) || tripped && !m.breaker.Ready() {
		return hopeless
	}
	if m.stall.suspect.Load() {
		return suspected
	}
	level := fit
	if tripped && m.breaker.State() != middleware.Closed {
		level = due
	}
	if !m.target.speaksGRPC.Load() {
		return level
	}
	switch connectivity.State(m.conn.Load()) {
	case connectivity.Ready:
		return level
	case connectivity.TransientFailure, connectivity.Shutdown:
		return hopeless
	case undialled:
		_, _ = m.link.dial() // does not wait; a failure shows in the call
	}
	return warming
}

// usable is fitness for those who only count: it dials nobody. A member that
// nobody asked for yet is usable.
func (m *Member) usable(now time.Duration) bool {
	state := connectivity.State(m.conn.Load())
	return m.refusedUntil.Load() <= int64(now) && !m.tripped.Load() && !m.stall.suspect.Load() &&
		state != connectivity.TransientFailure && state != connectivity.Shutdown
}

// acquire counts a call in and returns how many there are now; 0 when the member
// takes none any more.
func (m *Member) acquire(now time.Duration) int64 {
	if m.inFlight.Load() == 0 {
		m.quiet(now) // first, so that nobody sees a call in flight and an old time
	}
	n := int64(m.inFlight.Add(1))
	m.target.load(1)
	if m.retired.Load() {
		m.release()
		return 0
	}
	return n
}

// release counts a call out; the last one of a retired member closes it.
func (m *Member) release() {
	m.target.load(-1)
	if m.inFlight.Add(-1) == 0 && m.retired.Load() {
		m.end()
	}
}

// retire lets the calls in flight finish, for at most drain, and closes the
// connection then. It must no longer be in the set that calls pick from. Either
// acquire sees retired, or retire sees its count: both are sequentially
// consistent.
func (m *Member) retire(drain time.Duration) {
	m.retired.Store(true)
	m.clear("it left")
	m.readmit(^reason(0))
	if m.inFlight.Load() == 0 {
		m.end()
		return
	}
	time.AfterFunc(drain, m.end) // Close waits for it
}

func (m *Member) end() {
	if m.ended.CompareAndSwap(false, true) {
		m.link.close()
		m.target.ended(m)
	}
}

// refused notes that the instance took no connection.
func (m *Member) refused(now time.Duration) {
	n := m.refusals.Add(1)
	pause := min(refusedMin<<min(n-1, 10), refusedMax)
	m.refusedUntil.Store(int64(now + pause))
}

// answered notes that the instance is reachable.
func (m *Member) answered() {
	if m.refusals.Load() != 0 {
		m.refusals.Store(0)
		m.refusedUntil.Store(0)
		m.latency.reset()
		m.startSlowly()
	}
}

// connected notes that the connection became ready. Only a first one is no
// return.
func (m *Member) connected() {
	m.refusedUntil.Store(0)
	if m.wasReady.Swap(true) {
		m.latency.reset()
		m.clear("it reconnected")
		m.startSlowly()
	}
}

// endpoint returns the member's own endpoint for a slot, made when first used.
func (m *Member) endpoint(slot int, build func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
	for {
		old := m.endpoints.Load()
		if old != nil && slot < len(*old) && (*old)[slot] != nil {
			return (*old)[slot]
		}
		grown := make([]endpoint.Endpoint, slot+1)
		if old != nil {
			grown = make([]endpoint.Endpoint, max(slot+1, len(*old)))
			copy(grown, *old)
		}
		grown[slot] = build(m.link)
		m.endpoints.CompareAndSwap(old, &grown)
	}
}
