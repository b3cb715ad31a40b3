package load

import (
	"math/rand/v2"
	"sync"
)

// maxPast is how many orders back a probe reaches: the newest ones are where a
// promise is broken first.
const maxPast = 16

// past is what probes go back to: requests sent and orders acknowledged.
type past struct {
	requests []visit // only the dispatcher's

	mu     sync.Mutex
	orders []string
}

// placed notes a checkout. Its answer is not awaited: a key that is used again
// while the first request runs is the harder case.
func (p *past) placed(v visit) {
	p.requests = append(p.requests, v)
	if len(p.requests) > maxPast {
		p.requests = p.requests[1:]
	}
}

// answered notes an order that a customer was told of.
func (p *past) answered(r result) {
	if r.visit.kind != "place" || r.outcome != OK {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders = append(p.orders, r.order.ID)
	if len(p.orders) > maxPast {
		p.orders = p.orders[1:]
	}
}

// order returns an order to read, "" when there is none yet.
func (p *past) order(rng *rand.Rand) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.orders) == 0 {
		return ""
	}
	return p.orders[rng.IntN(len(p.orders))]
}

// again turns a fresh checkout into one under a key that was used before: with
// the body it had, or with the fresh one, which the shop must refuse.
func (p *planner) again(fresh visit) visit {
	if len(p.past.requests) == 0 {
		return fresh
	}
	earlier := p.past.requests[p.rng.IntN(len(p.past.requests))]
	lines := earlier.lines
	if p.rng.IntN(2) == 0 {
		lines = fresh.lines
	}
	v := placing(earlier.req.key, lines)
	v.probe = true
	return v
}
