package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Bounds of one shard's writer.
const (
	maxQueue = 512              // requests that wait
	maxBatch = 1000             // lines in one event; its last request may go beyond
	maxWrite = 10 * time.Second // one write with all its waits
)

// task is a request that waits for the owner's verdict.
type task struct {
	ctx     context.Context
	request request
	status  Status
	err     error
	done    chan struct{}
}

func (t *task) answer(s Status, err error) {
	t.status, t.err = s, err
	close(t.done)
}

// bid is the wish to own a shard in place of the owner since a claim.
type bid struct {
	epoch uint64
	err   error
	done  chan struct{}
}

// errMoved says that another instance owns the shard: nothing happened.
var errMoved = errors.New("another instance owns the shard")

// writer writes all that this instance writes to one shard, one event at a time.
// While one is on its way requests gather; the next event takes them all.
type writer struct {
	*shard
	ledger *Ledger
	unsure bool // the last write may have happened or not

	examined map[place]time.Time // old holds whose order may still settle them
}

// run writes until ctx ends, and then gives the shard up.
func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	expiry := time.NewTicker(w.ledger.opts.ExpireEvery)
	defer expiry.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case first := <-w.work:
			w.serve(ctx, w.gather(first))
			w.checkpoint(ctx)
		case b := <-w.bids:
			b.err = w.claim(ctx, b.epoch)
			close(b.done)
		case <-expiry.C:
			w.expire(ctx)
		}
	}
	w.leave(ctx)
}

// gather returns first and the requests behind it.
func (w *writer) gather(first *task) []*task {
	batch := []*task{first}
	for lines := len(first.request.Lines); lines < maxBatch; {
		select {
		case t := <-w.work:
			batch = append(batch, t)
			lines += len(t.request.Lines)
		default:
			return batch
		}
	}
	return batch
}

// serve decides on a batch, writes what follows as one event and answers. No
// verdict is given before the journal has confirmed that this instance still
// owns the shard and knew all of it: by taking the event or, where nothing is to
// be written, by its last sequence.
func (w *writer) serve(ctx context.Context, batch []*task) {
	ctx, cancel := tied(batch[0].ctx, ctx, maxWrite)
	defer cancel()
	for {
		err := w.ready(ctx)
		if err == nil {
			err = w.decide(ctx, batch)
		}
		if fault.CodeOf(err) == fault.Conflict { // somebody wrote; the copy has to catch up first
			w.unsure = true
			continue
		}
		if err != nil {
			for _, t := range batch {
				t.answer("", err)
			}
		}
		return
	}
}

// decide answers the batch when it succeeds.
func (w *writer) decide(ctx context.Context, batch []*task) error {
	w.mu.Lock()
	if w.owner != w.ledger.address {
		w.mu.Unlock()
		return errMoved
	}
	after, d := w.seq, newDraft(w.shard)
	verdicts := make([]error, len(batch))
	for i, t := range batch {
		if verdicts[i] = t.ctx.Err(); verdicts[i] == nil {
			t.status, verdicts[i] = d.perform(t.request)
		}
	}
	w.mu.Unlock()
	var err error
	if len(d.ops) == 0 {
		err = w.confirm(ctx, after)
	} else if err = w.append(ctx, d.event(), after); err == nil {
		w.ledger.stats.count(len(batch))
	}
	if err != nil {
		return err
	}
	for i, t := range batch {
		t.answer(t.status, verdicts[i])
	}
	return nil
}

// confirm fails with fault.Conflict when the shard's last event is not after.
func (w *writer) confirm(ctx context.Context, after uint64) error {
	_, seq, err := w.ledger.journal.Last(ctx, w.name)
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}
	if seq != after {
		return fault.New(fault.Conflict, "the shard has moved on")
	}
	return nil
}

// append writes e after the event after, and into the copy. When it fails the
// copy may be behind.
func (w *writer) append(ctx context.Context, e event, after uint64) error {
	e.By = w.ledger.address
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	seq, err := w.ledger.journal.Append(ctx, w.name, e.kind(), data, after)
	if err != nil {
		w.unsure = true
		if fault.CodeOf(err) == fault.Conflict {
			w.ledger.stats.Fenced.Add(1)
		}
		return err
	}
	w.apply(seq, e)
	return nil
}

// ready brings the copy up to date where it may be behind, and completes the
// memory of a shard that is owned.
func (w *writer) ready(ctx context.Context) error {
	if w.unsure {
		if err := w.catchUp(ctx); err != nil {
			return err
		}
		w.unsure = false
	}
	w.mu.Lock()
	whole, owner := w.whole, w.owner
	w.mu.Unlock()
	if whole || owner != w.ledger.address {
		return nil
	}
	return w.recall(ctx)
}

// catchUp reads what the copy has missed.
func (w *writer) catchUp(ctx context.Context) error {
	w.mu.Lock()
	from := w.seq + 1
	w.mu.Unlock()
	return w.ledger.journal.Read(ctx, w.name, nil, from, func(seq uint64, data []byte) {
		w.ledger.take(w.shard, seq, data)
	})
}

// recall reads what was settled before this copy began.
func (w *writer) recall(ctx context.Context) error {
	w.mu.Lock()
	from, begin := w.oldest, w.begin
	w.mu.Unlock()
	var older []settlement
	var lists []list
	if from > 0 {
		err := w.ledger.journal.Read(ctx, w.name, []string{kindSettled}, from, func(seq uint64, data []byte) {
			var e event
			if seq < begin && w.ledger.decode(w.name, seq, data, &e) && e.Settled != nil {
				older = append(older, e.Settled.settlements(e.At)...)
				lists = append(lists, list{seq, e.At})
			}
		})
		if err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.memory.recall(older, lists)
	w.whole = true
	return nil
}

// claim makes this instance the owner, unless somebody else was faster.
func (w *writer) claim(ctx context.Context, epoch uint64) error {
	ctx, cancel := context.WithTimeout(ctx, maxWrite)
	defer cancel()
	for {
		if w.unsure {
			if err := w.catchUp(ctx); err != nil {
				return err
			}
			w.unsure = false
		}
		w.mu.Lock()
		after, now := w.seq, w.epoch
		w.mu.Unlock()
		if now != epoch {
			return nil
		}
		err := w.append(ctx, event{At: time.Now().UTC(), Claim: &claim{Owner: w.ledger.address}}, after)
		switch {
		case err == nil:
			w.ledger.stats.Takeovers.Add(1)
			return w.ready(ctx)
		case fault.CodeOf(err) != fault.Conflict:
			return err
		}
	}
}

// leave gives the shard up, so that the next owner need not find out that this
// one is gone, and answers what still waits.
func (w *writer) leave(ctx context.Context) {
	for {
		select {
		case t := <-w.work:
			t.answer("", errMoved)
			continue
		default:
		}
		break
	}
	w.mu.Lock()
	after, owner := w.seq, w.owner
	w.mu.Unlock()
	if owner != w.ledger.address || w.unsure {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := w.append(ctx, event{At: time.Now().UTC(), Claim: &claim{}}, after); err != nil {
		w.ledger.opts.Logger.Warn("left a shard without a word; the next owner finds out", "shard", w.name, "err", err)
	}
}

// tied returns a context that has the values of one context, ends with another,
// and after d.
func tied(values, parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(values), d)
	stop := context.AfterFunc(parent, cancel)
	return ctx, func() { stop(); cancel() }
}
