package target

import (
	"context"
	"time"
)

// simStock calls as stock go-kit does: lb.RoundRobin over all instances, and
// lb.Retry with three tries, whatever the error, one at once after the other.
// Only that not all callers begin with the same instance is better than there.
type simStock struct {
	world *simWorld
	zone  int
	timed bool // a try may take a third of the caller's time; lb.Retry lets the first have it all
	set   []*simServer
	next  int
}

const simStockTries = 3

type simStockCall struct {
	caller *simStock
	began  time.Duration
	tries  int
	try    *simTry
	ended  bool
}

func (c *simStockCall) over() bool { return c.ended }

func (c *simStockCall) expire() {
	c.try.left = true
	c.end(context.DeadlineExceeded)
}

func (s *simStock) call() {
	c := &simStockCall{caller: s, began: s.world.clock.now}
	s.world.stockCalls.add(c)
	c.again()
}

func (c *simStockCall) again() {
	s := c.caller
	if len(s.set) == 0 {
		c.end(errSimRefused)
		return
	}
	s.next++
	to := s.set[s.next%len(s.set)]
	c.tries++
	c.try = s.world.try(s.zone, to, c.done)
	if s.timed {
		s.world.stockTries.add(c.try)
	}
}

func (c *simStockCall) done(err error) {
	c.try.left = true
	if err != nil && c.tries < simStockTries {
		c.again()
		return
	}
	c.end(err)
}

func (c *simStockCall) end(err error) {
	c.ended = true
	c.caller.world.tally.ended(c.began, c.caller.world.clock.now, c.tries, err)
}

// learn is told by the registry who is there.
func (s *simStock) learn() { s.set = s.world.listed }
