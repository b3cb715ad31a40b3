package inventory

import "sync/atomic"

// Stats counts what an instance does as an owner of shards and beside them.
type Stats struct {
	Events      atomic.Int64 // written, with requests in them
	Requests    atomic.Int64 // answered by those events
	Forwarded   atomic.Int64 // requests sent to the owner of their shard
	Takeovers   atomic.Int64 // shards claimed
	Fenced      atomic.Int64 // writes refused because somebody else wrote
	Refused     atomic.Int64 // requests refused because too many waited
	Checkpoints atomic.Int64
	Expired     atomic.Int64 // holds released because their order was gone
}

func (s *Stats) count(requests int) {
	s.Events.Add(1)
	s.Requests.Add(int64(requests))
}

// Stats returns the counters.
func (l *Ledger) Stats() *Stats { return &l.stats }

// Owned is how many shards this instance owns.
func (l *Ledger) Owned() (n int) {
	for _, s := range l.shards {
		if owner, _ := s.ownership(); owner == l.address {
			n++
		}
	}
	return n
}
