package inventory

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Options says what a ledger needs to know beside its ports; the zero value is
// usable.
type Options struct {
	ID           string        // of the instance; names the owner in events
	Logger       *slog.Logger  // nil: silent
	Orders       Orders        // nil: no hold is ever forgotten
	HoldFor      time.Duration // an older hold is released if its order is gone; 0 means 15 min
	ExpireEvery  time.Duration // how often an owner looks for such holds; 0 means 15 s
	BalanceEvery time.Duration // how often an instance takes a shard while it has too few; 0 means 500 ms, less than 0 never
}

// Ledger is the Service. The stock is cut into shards, each a stream of events.
// Every instance follows all of them and can say what lies on the shelves. One
// instance owns a shard: it alone decides about it, and the others send it what
// they are asked. An instance becomes the owner by writing so into the shard's
// own stream, on top of its last event; whatever the owner before still tries to
// write comes after an event that it does not know, and is refused.
type Ledger struct {
	journal  Journal
	exchange Exchange
	opts     Options
	address  string // where the other instances reach this run of the instance
	shards   [shards]*shard
	stats    Stats
	ready    atomic.Bool
}

var _ Service = (*Ledger)(nil)

// New returns a Service on a journal, with the units that lie on the shelves of
// SKUs without events. It answers once Run has read the journal.
func New(journal Journal, exchange Exchange, initial map[string]int, o Options) *Ledger {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HoldFor <= 0 {
		o.HoldFor = 15 * time.Minute
	}
	if o.ExpireEvery <= 0 {
		o.ExpireEvery = 15 * time.Second
	}
	if o.BalanceEvery == 0 {
		o.BalanceEvery = 500 * time.Millisecond
	}
	l := &Ledger{journal: journal, exchange: exchange, opts: o, address: o.ID + "/" + rand.Text()[:10]}
	for n := range l.shards {
		l.shards[n] = newShard(n)
	}
	for sku, units := range initial {
		l.shards[shardOf(sku)].shelves[sku] = newShelf(units)
	}
	return l
}

// Run keeps the copy of the journal up to date and works on the shards that this
// instance owns, until ctx ends. It fails for a journal that is another ledger.
func (l *Ledger) Run(ctx context.Context) error {
	tail, err := l.start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = nil // nobody waits for it any more
		}
		return err
	}
	stop, err := l.exchange.Listen(l.address, l.answer)
	if err != nil {
		return err
	}
	l.ready.Store(true)
	var owned sync.WaitGroup
	for _, s := range l.shards {
		w := &writer{shard: s, ledger: l, examined: map[place]time.Time{}}
		owned.Go(func() { w.run(ctx) })
	}
	owned.Go(func() { l.balance(ctx) })
	err = l.journal.Follow(ctx, tail+1, func(name string, seq uint64, data []byte) {
		if s := l.named(name); s != nil {
			l.take(s, seq, data)
		}
	})
	owned.Wait()
	stop()
	return err
}

// start brings every shard to its present state: its last checkpoint, and what
// came after. It returns the sequence that it has read up to.
func (l *Ledger) start(ctx context.Context) (tail uint64, err error) {
	var strange error
	begun := map[*shard]bool{}
	err = l.journal.Latest(ctx, func(name, kind string, seq uint64, data []byte) {
		tail = max(tail, seq)
		s := l.named(name)
		if s == nil {
			strange = fault.New(fault.Internal, "the stock journal holds %q, which is no shelf of this version of kitmesh; start the broker with an empty store", name)
			return
		}
		begun[s] = true
		var e event
		if kind == kindCheckpoint && l.decode(name, seq, data, &e) && e.Checkpoint != nil {
			s.restore(seq, *e.Checkpoint)
		}
	})
	if err == nil {
		err = strange
	}
	if err != nil {
		return 0, err
	}
	failed := make(chan error, shards)
	for s := range begun {
		go func() {
			failed <- l.journal.Read(ctx, s.name, nil, s.seq+1, func(seq uint64, data []byte) { l.take(s, seq, data) })
		}()
	}
	for range begun {
		err = cmp.Or(err, <-failed)
	}
	return tail, err
}

// named returns the shard of a stream, nil when it is no shard of this ledger.
func (l *Ledger) named(name string) *shard {
	for _, s := range l.shards {
		if s.name == name {
			return s
		}
	}
	return nil
}

// take brings a shard to the state after an event.
func (l *Ledger) take(s *shard, seq uint64, data []byte) {
	if s.knows(seq) {
		return // written here, most likely
	}
	var e event
	if l.decode(s.name, seq, data, &e) {
		s.apply(seq, e)
	}
}

func (l *Ledger) decode(shard string, seq uint64, data []byte, into any) (ok bool) {
	if err := json.Unmarshal(data, into); err != nil {
		l.opts.Logger.Error("a stock event cannot be read; it is skipped", "shard", shard, "seq", seq, "err", err)
		return false
	}
	return true
}

// Ready says in a sentence whether the copy is complete, and fails until it is.
func (l *Ledger) Ready(context.Context) (string, error) {
	if !l.ready.Load() {
		return "", fault.New(fault.Unavailable, "the stock ledger is still being read")
	}
	return "the stock ledger is up to date", nil
}
