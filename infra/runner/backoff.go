package runner

import (
	"math/rand/v2"
	"time"
)

// backoff spaces the restarts of one child: the first comes at once in a
// person's eyes, a child that keeps dying young comes ever more slowly, and one
// that lived long enough starts from the beginning again.
type backoff struct {
	young int // deaths in a row after less than stableAfter
}

const (
	firstDelay = 250 * time.Millisecond
	maxDelay   = 5 * time.Second
	// stableAfter is short on purpose: an experiment that kills every instance
	// of a service in turn must not be taken for a crash loop.
	stableAfter = 3 * time.Second
)

// next returns how long to wait after a child that lived for lived. The delays
// are 250 ms, 500 ms, 1 s, 2 s, 4 s, 5 s, 5 s... each ± 20 %, at most 5 s.
func (b *backoff) next(lived time.Duration) time.Duration {
	if lived >= stableAfter {
		b.young = 0
	}
	delay := min(firstDelay<<min(b.young, 10), maxDelay)
	b.young++
	jitter := 0.8 + 0.4*rand.Float64()
	return min(time.Duration(float64(delay)*jitter), maxDelay)
}
