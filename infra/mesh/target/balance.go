package target

import (
	"context"
	"time"
)

// Policy is a way to choose an instance. Whatever it is, instances that the call
// has tried and those that are ejected, suspected or unreachable are passed over
// while there are others.
type Policy string

// The policies.
const (
	// PeakEWMA takes the better of two random instances by latency and calls in
	// flight: power of two choices over peak EWMA, as linkerd and finagle do.
	PeakEWMA Policy = "peak-ewma"
	// LeastRequest takes the better of two random instances by the calls in
	// flight alone.
	LeastRequest Policy = "least-request"
	// RoundRobin takes one instance after the other, as often as its weight says.
	// Its cursor is the one cache line that the calls of a process share for
	// balancing; they wait for no lock.
	RoundRobin Policy = "round-robin"
	// Hash sends calls with equal keys to the same instance; see WithHashKey.
	// Calls without a key go by PeakEWMA.
	Hash Policy = "hash"
)

// Balance says how an instance is chosen; the zero value is usable: the better
// of two random instances, by latency and calls in flight.
type Balance struct {
	Policy Policy // PeakEWMA if empty
	// Hash lists the methods, such as "catalog.Get", whose calls go by their key
	// under any policy.
	Hash []string
	// Key finds the key of a call that goes by its key; "" means none. What
	// WithHashKey put into the context if nil. The request is nil for Do.
	Key func(ctx context.Context, method string, request any) string

	// Zone is the caller's own. Instances in it are preferred while enough of
	// them are well and they keep up with the others; see zones. No preference if
	// empty.
	Zone string
	// Subset is how many instances, at least, this caller uses: the same ones as
	// long as they live, others than its siblings use. It bounds the connections
	// where there are hundreds of instances. All of them if 0.
	Subset int
	// Caller tells the caller apart from its siblings for Subset: its instance
	// id. Random if empty.
	Caller string

	// Decay is how slowly shorter answers make up for a longer one: after Decay
	// a third of the difference is left. 10 s if 0.
	Decay time.Duration
	// Penalty is the least time that a failed try counts as, so that an instance
	// that fails fast does not look like a fast one; 250 ms if 0.
	Penalty time.Duration
	// SlowStart is how long an instance that is new or back takes to get its
	// whole share of the traffic, a tenth of it at first. 2 s if 0; negative
	// means at once.
	SlowStart time.Duration
}

func (b Balance) withDefaults() Balance {
	if b.Policy == "" {
		b.Policy = PeakEWMA
	}
	if b.Decay <= 0 {
		b.Decay = 10 * time.Second
	}
	if b.Penalty <= 0 {
		b.Penalty = 250 * time.Millisecond
	}
	if b.SlowStart == 0 {
		b.SlowStart = 2 * time.Second
	}
	b.Subset = max(b.Subset, 0)
	return b
}

// hashes reports whether any call goes by its key.
func (b Balance) hashes() bool { return b.Policy == Hash || len(b.Hash) > 0 }
