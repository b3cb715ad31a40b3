package target

import (
	"math"
	"math/rand/v2"
	"time"
)

// tick is the resolution of simulated time: what happens within one is done in
// one stop of the clock.
const tick = 10 * time.Microsecond

// simClock is what drives a simulation: events in the order of their time, those
// of the same time in the order in which they were asked for. It runs in the
// bubble of a testing/synctest test, on one goroutine that sleeps from event to
// event: time.Now in the code under simulation is simulated time, and nothing
// runs at the same time as anything else.
type simClock struct {
	*rand.Rand // all chance of the world
	began      time.Time
	now        time.Duration // since began
	asked      uint64
	events     []simEvent // a binary heap, the next one first
}

type simEvent struct {
	at    time.Duration
	order uint64
	do    func()
}

func (e simEvent) before(o simEvent) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func newSimClock(seed uint64) *simClock {
	return &simClock{Rand: rand.New(rand.NewPCG(seed, 0)), began: time.Now()}
}

// after has do called when d is over.
func (c *simClock) after(d time.Duration, do func()) {
	c.asked++
	at := (c.now + max(d, 0) + tick - 1) / tick * tick
	e, i := simEvent{at, c.asked, do}, len(c.events)
	c.events = append(c.events, e)
	for i > 0 && e.before(c.events[(i-1)/2]) {
		c.events[i] = c.events[(i-1)/2]
		i = (i - 1) / 2
	}
	c.events[i] = e
}

func (c *simClock) next() simEvent {
	first, last := c.events[0], c.events[len(c.events)-1]
	c.events[len(c.events)-1] = simEvent{}
	c.events = c.events[:len(c.events)-1]
	i, n := 0, len(c.events)
	if n == 0 {
		return first
	}
	for {
		child := 2*i + 1
		if child+1 < n && c.events[child+1].before(c.events[child]) {
			child++
		}
		if child >= n || !c.events[child].before(last) {
			c.events[i] = last
			return first
		}
		c.events[i] = c.events[child]
		i = child
	}
}

// run lets time pass until the end.
func (c *simClock) run(end time.Duration) {
	for len(c.events) > 0 && c.events[0].at <= end {
		e := c.next()
		if e.at > c.now {
			c.now = e.at
			time.Sleep(e.at - time.Since(c.began))
		}
		e.do()
	}
}

// exponential is a random time between events that do not know of each other.
func (c *simClock) exponential(mean float64) time.Duration {
	return time.Duration(c.ExpFloat64() * mean)
}

// lognormal is a random time of that mean with a long tail: with a spread of
// 0.6 one in a hundred is 3.4 times the mean.
func (c *simClock) lognormal(mean time.Duration, spread float64) time.Duration {
	return time.Duration(float64(mean) * math.Exp(c.NormFloat64()*spread-spread*spread/2))
}

// simTimeouts calls expire for every item that is not over when a fixed time has
// passed since it was added. They queue up by themselves: no event each.
type simTimeouts[T interface{ over() bool }] struct {
	clock  *simClock
	after  time.Duration
	expire func(T)
	queue  []simTimeout[T]
	armed  bool
}

type simTimeout[T any] struct {
	at   time.Duration
	item T
}

func (q *simTimeouts[T]) add(item T) {
	q.queue = append(q.queue, simTimeout[T]{q.clock.now + q.after, item})
	q.arm()
}

func (q *simTimeouts[T]) arm() {
	for len(q.queue) > 0 && q.queue[0].item.over() {
		q.queue[0] = simTimeout[T]{}
		q.queue = q.queue[1:]
	}
	if !q.armed && len(q.queue) > 0 {
		q.armed = true
		q.clock.after(q.queue[0].at-q.clock.now, q.ring)
	}
}

func (q *simTimeouts[T]) ring() {
	q.armed = false
	for len(q.queue) > 0 && q.queue[0].at <= q.clock.now {
		item := q.queue[0].item
		q.queue[0] = simTimeout[T]{}
		q.queue = q.queue[1:]
		if !item.over() {
			q.expire(item)
		}
	}
	q.arm()
}
