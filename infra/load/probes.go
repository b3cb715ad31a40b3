package load

import (
	"math/rand/v2"
	"sync"
)

// maxPast is how many orders back a probe reaches: the newest ones are where a
// promise is broken first.
const maxPast = 16

// past is what probes go back to.
type past struct {
	asked []visit // checkouts sent; only the dispatcher's

	mu   sync.Mutex
	told []answered // orders acknowledged
}

// answered is an order and the checkout that it came from.
type answered struct {
	visit visit
	order string
}

// placed notes a checkout that is sent.
func (p *past) placed(v visit) { p.asked = newest(append(p.asked, v)) }

// answered notes an order that a customer was told of.
func (p *past) answered(r result) {
	if r.visit.kind != "place" || r.outcome != OK {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = newest(append(p.told, answered{r.visit, r.order.ID}))
}

func newest[T any](list []T) []T { return list[max(0, len(list)-maxPast):] }

// order returns an acknowledged order, false when there is none yet.
func (p *past) order(rng *rand.Rand) (answered, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) == 0 {
		return answered{}, false
	}
	return p.told[rng.IntN(len(p.told))], true
}

// again turns a fresh checkout into one under a key that was used before. With
// the same body it may come while the first request still runs; with another
// body, which the shop must refuse, it comes after the first was answered, or it
// might itself be the first.
func (p *planner) again(fresh visit) visit {
	v := fresh
	if told, ok := p.past.order(p.rng); ok && p.rng.IntN(2) == 0 {
		v = placing(told.visit.req.key, fresh.lines)
	} else if n := len(p.past.asked); n > 0 {
		earlier := p.past.asked[p.rng.IntN(n)]
		v = placing(earlier.req.key, earlier.lines)
	} else {
		return fresh
	}
	v.probe = true
	return v
}
