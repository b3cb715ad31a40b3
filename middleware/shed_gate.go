package middleware

import "time"

// Gate admits the requests of one method. It is the Middleware of a Shed in two
// halves, for a server that does not hold a goroutine per request.
type Gate struct {
	shed  *Shed
	times *methodTimes
}

// Gate returns the gate of the named method. Make it before the first request.
func (s *Shed) Gate(method string) Gate { return Gate{s, s.gradient.method(method)} }

// Pass is the place of an admitted request. It ends with Done.
type Pass struct {
	gate   Gate
	ticket ticket
}

// Admit admits a request that must be answered within a time (0: any), which
// must end in Pass.Done, or refuses it with fault.Overloaded and a RetryAfter.
func (g Gate) Admit(p Priority, within time.Duration) (Pass, error) {
	t, ok := g.shed.admit(p, within)
	if !ok {
		return Pass{}, errShed
	}
	return Pass{g, t}, nil
}

// Done gives the place back and notes how the request ended. Call it once.
func (p Pass) Done(err error) { p.gate.shed.release(p.ticket, p.gate.times, err) }
