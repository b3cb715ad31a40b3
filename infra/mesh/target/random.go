package target

import (
	"math/rand/v2"
	"time"
)

// random returns 64 random bits, from Options.Rand if there is one: a simulation
// that starts with the same seed then picks, jitters and draws the same.
func (t *Target) random() uint64 {
	if t.opts.Rand != nil {
		return t.opts.Rand()
	}
	return rand.Uint64()
}

// part returns a random number from 0 to below 1.
func (t *Target) part() float64 { return float64(t.random()>>11) / (1 << 53) }

// chance is true in a part, 0 to 1, of the cases.
func (t *Target) chance(part float64) bool { return part >= 1 || t.part() < part }

// jitter returns a random time from 0 to limit.
func (t *Target) jitter(limit time.Duration) time.Duration {
	return time.Duration(t.random() % uint64(limit+1))
}
