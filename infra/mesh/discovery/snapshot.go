package discovery

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Snapshot is the set of instances at one moment. It never changes; wait on
// Changed for its successor.
type Snapshot struct {
	Instances []Instance // sorted by ID; do not modify
	Ready     bool       // an answer has arrived; before it the set is unknown, not empty
	Err       error      // while not Ready: why there is no answer

	changed chan struct{}
}

// Changed is closed when a newer snapshot exists.
func (s *Snapshot) Changed() <-chan struct{} { return s.changed }

// Source yields snapshots. *Instancer and *Static are sources.
type Source interface {
	// Snapshot returns the current set, never nil. It does not block.
	Snapshot() *Snapshot
}

// board publishes snapshots: readers load a pointer, waiters watch a channel
// that closes. No reader is ever waited for.
type board struct {
	current atomic.Pointer[Snapshot]
	writing sync.Mutex // orders the writers; readers never take it
}

func newBoard() *board {
	b := &board{}
	b.current.Store(&Snapshot{changed: make(chan struct{})})
	return b
}

// publish replaces the snapshot, unless the new one says nothing new.
func (b *board) publish(next Snapshot) (changed bool) {
	b.writing.Lock()
	defer b.writing.Unlock()
	old := b.current.Load()
	if old.Ready == next.Ready && (old.Err == nil) == (next.Err == nil) &&
		slices.EqualFunc(old.Instances, next.Instances, Instance.equal) {
		return false
	}
	next.changed = make(chan struct{})
	b.current.Store(&next)
	close(old.changed)
	return true
}

// Static is a Source whose instances are told, not found: for tests and for
// places without a registry.
type Static struct{ board *board }

// NewStatic returns a Source of these instances; with none it is ready and empty.
func NewStatic(instances ...Instance) *Static {
	s := &Static{board: newBoard()}
	s.Set(instances...)
	return s
}

// NewPending returns a Source that is not ready until Set.
func NewPending() *Static { return &Static{board: newBoard()} }

// Set replaces the instances.
func (s *Static) Set(instances ...Instance) {
	sorted := slices.Clone(instances)
	for i := range sorted {
		sorted[i].Weight = max(sorted[i].Weight, 1)
	}
	slices.SortFunc(sorted, byID)
	s.board.publish(Snapshot{Instances: sorted, Ready: true})
}

// Snapshot returns the current set.
func (s *Static) Snapshot() *Snapshot { return s.board.current.Load() }
