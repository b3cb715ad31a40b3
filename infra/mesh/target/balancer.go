package target

import (
	"context"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd/lb"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Balancer is a method's lb.Balancer, for code that is written against go-kit's
// own, such as lb.Retry. Each endpoint it returns is one try on one instance,
// with that one's breaker, bookkeeping and span; repeating is the caller's
// business, and the retry budget, hedging and keys are not applied: go-kit's
// interface knows neither the call nor what was tried before. Endpoint is better
// where that is a free choice. dial is as in Endpoint.
func (t *Target) Balancer(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) lb.Balancer {
	w, known, once := t.prepare(method, dial)
	return balancer{t, w, known, once}
}

type balancer struct {
	target *Target
	work   work
	method *method
	once   bool
}

// Endpoint implements lb.Balancer. It fails with lb.ErrNoEndpoints when there is
// no instance, and counts nothing before the endpoint is called.
func (b balancer) Endpoint() (endpoint.Endpoint, error) {
	not := tried{once: b.once}
	m, level := b.target.set.Load().pick(&not, b.target.now())
	if m == nil {
		return nil, lb.ErrNoEndpoints
	}
	return func(ctx context.Context, request any) (any, error) {
		p := progress{work: b.work, method: b.method, once: b.once}
		p.work.request = request
		return b.target.single(ctx, &p, m, level)
	}, nil
}

// single makes the only try of a call.
func (t *Target) single(ctx context.Context, p *progress, m *Member, level fitness) (any, error) {
	t.begin(p)
	if err := ctx.Err(); err != nil {
		return nil, t.gaveUp(p, err)
	}
	if m.acquire(t.now()) == 0 {
		return nil, fault.Wrap(fault.Unavailable, ErrNotSent, "%s left", m.id)
	}
	allowed, err := m.breaker.Allow()
	if err != nil && level != hopeless {
		m.release()
		return nil, err
	}
	p.cold = level == hopeless || level == warming
	response, err := t.once(ctx, p, m, permit{allowed, err == nil})
	return response, err
}
