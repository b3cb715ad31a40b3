package inventory

import (
	"context"
	"time"
)

// Bounds of what a reader has to read after a checkpoint, and of one list.
const (
	checkpointEvery = 64   // batches
	maxList         = 2048 // settled holds
)

// checkpoint writes one when the last is long ago; before it, lists of what was
// settled since.
func (w *writer) checkpoint(ctx context.Context) {
	w.mu.Lock()
	due := w.whole && !w.unsure && (w.since >= checkpointEvery || w.memory.unlisted >= maxList)
	w.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxWrite)
	defer cancel()
	for {
		e, after, mine := w.summary()
		if !mine { // not, or no longer: somebody may claim the shard between two events
			return
		}
		if err := w.append(ctx, e, after); err != nil {
			// Nothing is lost: the next one comes after as many batches again.
			w.mu.Lock()
			w.since = 0
			w.mu.Unlock()
			w.ledger.opts.Logger.Info("no checkpoint of a shard", "shard", w.name, "err", err)
			return
		}
		if e.Checkpoint != nil {
			w.ledger.stats.Checkpoints.Add(1)
			return
		}
	}
}

// summary is the next list of settled holds or, where nothing is left to be
// listed, the checkpoint, to be written after an event by the owner only.
func (w *writer) summary() (e event, after uint64, mine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owner != w.ledger.address {
		return event{}, 0, false
	}
	e.At = time.Now().UTC()
	if w.memory.unlisted > 0 {
		list := w.memory.next(maxList)
		e.Settled = &list
	} else {
		state := w.snapshot()
		e.Checkpoint = &state
	}
	return e, w.seq, true
}
