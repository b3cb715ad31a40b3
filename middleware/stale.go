package middleware

import (
	"context"
	"sync"

	"github.com/go-kit/kit/endpoint"
)

// Stale keeps the last good answer to each of a bounded number of requests, to
// serve it when there is no fresh one. Requests must be comparable values.
// Remember belongs inside the guard whose fallback is Fallback.
type Stale struct {
	max int

	mu      sync.RWMutex
	answers map[any]any
}

// NewStale returns a Stale of at most so many answers. When it is full, new
// requests replace arbitrary old ones.
func NewStale(most int) *Stale {
	return &Stale{max: most, answers: make(map[any]any, most)}
}

// Remember keeps the answers of next.
func (s *Stale) Remember(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		response, err := next(ctx, request)
		if err == nil {
			s.keep(request, response)
		}
		return response, err
	}
}

func (s *Stale) keep(request, response any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.answers[request]; !known && len(s.answers) >= s.max {
		for old := range s.answers {
			delete(s.answers, old)
			break
		}
	}
	s.answers[request] = response
}

// Fallback returns the last good answer to request, or err when there is none.
func (s *Stale) Fallback(_ context.Context, request any, err error) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if response, known := s.answers[request]; known {
		return response, nil
	}
	return nil, err
}
