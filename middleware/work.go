package middleware

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Work makes every request take d on one of a number of workers before it is
// served, so that an instance has the known capacity of workers/d on any
// machine. At most queue requests wait for a worker, the next is shed with
// fault.Overloaded. The workers are shared by all endpoints that the one
// middleware wraps. Without workers nobody waits; a d of 0 or less is no work.
func Work(d time.Duration, workers, queue int) endpoint.Middleware {
	if d <= 0 {
		return through
	}
	p := &pool{work: d, queue: int64(queue)}
	if workers > 0 {
		p.slots = make(chan struct{}, workers)
	}
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if err := p.do(ctx); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

type pool struct {
	work    time.Duration
	slots   chan struct{} // nil: any number of workers
	queue   int64
	waiting atomic.Int64
}

func (p *pool) do(ctx context.Context) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	if p.slots != nil {
		defer func() { <-p.slots }()
	}
	return pause(ctx, p.work)
}

func (p *pool) acquire(ctx context.Context) error {
	if p.slots == nil {
		return nil
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > p.queue {
		p.waiting.Add(-1)
		// The queue drains at one request per work/workers.
		return &fault.Error{
			Code:       fault.Overloaded,
			Message:    "the instance is overloaded; come back later",
			RetryAfter: max(p.work*time.Duration(p.queue)/time.Duration(cap(p.slots)), p.work),
		}
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return left(ctx.Err(), "while the request waited for a worker")
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return left(ctx.Err(), "while the request was worked on")
	}
}
