package inventory

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"sync"

	"github.com/kitmesh/kitmesh/services/fault"
)

// shards is how many streams the ledger has. Another number is another ledger:
// it is part of the streams' names, so that no instance reads or writes streams
// that were cut in another way.
const shards = 16

func shardName(n int) string { return fmt.Sprintf("of%d-%02d", shards, n) }

// shardOf is the number of the shard that a SKU belongs to.
func shardOf(sku string) int {
	h := fnv.New32a()
	h.Write([]byte(sku))
	return int(h.Sum32() % shards)
}

// shard is this instance's copy of one stream.
type shard struct {
	name string
	work chan *task    // what this instance, as the owner, shall do
	bids chan *bid     // wishes to become the owner
	done chan struct{} // closed when nobody takes work and bids any more

	mu      sync.Mutex
	seq     uint64 // of the last event; 0: none yet
	owner   string // address by the last claim; "": nobody
	epoch   uint64 // sequence of that claim
	begin   uint64 // sequence of the checkpoint that this copy started from
	since   int    // batches since the last checkpoint
	shelves map[string]*shelf
	memory  memory
	whole   bool          // memory also has what was settled before begin
	oldest  uint64        // sequence of the first list from before begin that matters; 0: none
	changed chan struct{} // closed at the next claim
}

func newShard(n int) *shard {
	return &shard{
		name: shardName(n), work: make(chan *task, maxQueue), bids: make(chan *bid), done: make(chan struct{}),
		shelves: map[string]*shelf{}, memory: newMemory(), changed: make(chan struct{}),
	}
}

// knows reports whether the copy has an event.
func (s *shard) knows(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return seq <= s.seq
}

// ownership is who owns the shard, since which claim.
func (s *shard) ownership() (owner string, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner, s.epoch
}

// level is what lies on a shelf.
func (s *shard) level(sku string) (level, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shelf := s.shelves[sku]; shelf != nil {
		return shelf.level, nil
	}
	return level{}, fault.New(fault.NotFound, "there is no SKU %q", sku)
}

// shelf returns the shelf of any SKU; one that is no longer on the list keeps
// its ledger. It needs the lock.
func (s *shard) shelf(sku string) *shelf {
	if s.shelves[sku] == nil {
		s.shelves[sku] = newShelf(0)
	}
	return s.shelves[sku]
}

// restore brings a copy that has no events yet, or those of an older checkpoint,
// to the state that a checkpoint holds.
func (s *shard) restore(seq uint64, c checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.begin, s.owner, s.epoch = seq, seq, c.Owner, c.Epoch
	s.oldest = c.Settled
	for sku, stored := range c.Shelves {
		shelf := s.shelf(sku)
		shelf.level, shelf.begun, shelf.holds = stored.level, true, map[string]hold{}
		maps.Copy(shelf.holds, stored.Holds)
	}
}

// apply brings the copy to the state after an event; one that it knows is
// ignored.
func (s *shard) apply(seq uint64, e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.seq {
		return
	}
	s.seq = seq
	switch e.kind() {
	case kindClaim:
		s.owner, s.epoch = e.Claim.Owner, seq
		close(s.changed)
		s.changed = make(chan struct{})
	case kindCheckpoint:
		s.since = 0
	case kindSettled:
		s.memory.listed(e.Settled.size(), list{seq, e.At})
	default:
		s.since++
		s.play(e)
	}
}

// play needs the lock.
func (s *shard) play(e event) {
	for _, o := range e.Ops {
		shelf := s.shelf(o.SKU)
		if o.Kind == Reserved {
			shelf.holds[o.Key] = hold{o.Quantity, e.At}
			continue
		}
		delete(shelf.holds, o.Key)
		s.memory.note(settlement{place{o.SKU, o.Key}, outcome{o.Kind, o.Reason}, e.At})
	}
	for sku, level := range e.Shelves {
		shelf := s.shelf(sku)
		shelf.level, shelf.begun = level, true
	}
}

// snapshot is the checkpoint of the present state. It needs the lock.
func (s *shard) snapshot() checkpoint {
	c := checkpoint{Owner: s.owner, Epoch: s.epoch, Settled: s.memory.first(), Shelves: map[string]stored{}}
	for sku, shelf := range s.shelves {
		if shelf.begun {
			c.Shelves[sku] = stored{shelf.level, maps.Clone(shelf.holds)}
		}
	}
	return c
}

// awaitClaim returns when the shard's last claim is not the one of epoch, or
// when ctx ends.
func (s *shard) awaitClaim(ctx context.Context, epoch uint64) {
	s.mu.Lock()
	now, changed := s.epoch, s.changed
	s.mu.Unlock()
	if now != epoch {
		return
	}
	select {
	case <-changed:
	case <-ctx.Done():
	}
}
