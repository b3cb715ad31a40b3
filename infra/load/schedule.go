package load

import (
	"context"
	"math/rand/v2"
	"time"
)

// schedule yields the intended starts of requests as offsets from the start.
type schedule struct {
	rate  float64
	law   Arrivals
	rng   *rand.Rand
	index int64
	at    float64 // seconds
}

// next returns the offset of the next request. Uniform offsets are computed
// from the index, so that rounding never adds up to a drift.
func (s *schedule) next() time.Duration {
	if s.law == Poisson {
		s.at += s.rng.ExpFloat64() / s.rate
	} else {
		s.at = float64(s.index) / s.rate
	}
	s.index++
	return time.Duration(s.at * float64(time.Second))
}

// sleepUntil waits for t and reports whether it came before ctx ended. A t in
// the past is never waited for: being behind must not stretch the schedule.
func sleepUntil(ctx context.Context, timer *time.Timer, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		timer.Stop()
		return false
	}
}
