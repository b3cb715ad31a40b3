package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/time/rate"
)

const (
	// DefaultWait is the longest blocking query.
	DefaultWait = 30 * time.Second
	// answerTime is what a query may take beyond its wait.
	answerTime = 2 * time.Second
	backoffMin = 50 * time.Millisecond
	backoffMax = 500 * time.Millisecond
)

// Options configures an Instancer; the zero value is usable.
type Options struct {
	Wait        time.Duration // longest blocking query; DefaultWait if 0
	Grace       time.Duration // how long a doubted disappearance is kept; DefaultGrace if 0
	OnlyPassing bool          // instances in warning are out too
	Filter      string        // a Consul filter expression, such as `Service.Meta.version == v2`
	Logger      *slog.Logger  // nil says nothing
}

// Instancer follows the instances of one service. It implements sd.Instancer
// for go-kit code and Source for typed readers. Once Consul has answered, no
// failure of Consul changes the set.
type Instancer struct {
	consul  *api.Client
	service string
	opts    Options
	log     *slog.Logger

	board  *board
	memory *memory // owned by the watching goroutine
	err    atomic.Pointer[error]

	ctx  context.Context // ends with Stop
	stop context.CancelFunc
	done chan struct{}

	mu          sync.Mutex
	subscribers map[chan<- event]*subscriber
}

// New starts to follow service and returns at once: the first snapshot is not
// Ready. Stop ends it.
func New(consul *api.Client, service string, opts Options) *Instancer {
	if opts.Wait <= 0 {
		opts.Wait = DefaultWait
	}
	if opts.Grace <= 0 {
		opts.Grace = DefaultGrace
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	i := &Instancer{
		consul: consul, service: service, opts: opts,
		log:   opts.Logger.With("target", service),
		board: newBoard(), memory: newMemory(opts.Grace),
		ctx: ctx, stop: stop, done: make(chan struct{}),
		subscribers: map[chan<- event]*subscriber{},
	}
	go func() {
		defer close(i.done)
		i.watch(ctx)
	}()
	return i
}

// Snapshot returns the current set.
func (i *Instancer) Snapshot() *Snapshot { return i.board.current.Load() }

// Service is the name that is followed.
func (i *Instancer) Service() string { return i.service }

// Err says why Consul does not answer now, nil when it does. The set stays
// valid meanwhile.
func (i *Instancer) Err() error {
	if p := i.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Stop ends the query in flight and every goroutine, and returns when they have
// ended. The last snapshot stays readable. It may be called any number of times.
func (i *Instancer) Stop() {
	i.stop()
	<-i.done
	i.dismiss()
}

// watch asks Consul until ctx ends. The index is Consul's promise that nothing
// changed up to it; it is worth nothing after an error (the next answer may come
// from another server, or from one that lost its state) or when it goes back.
func (i *Instancer) watch(ctx context.Context) {
	var (
		index   uint64
		reset   bool // Consul may have lost its state since the last answer
		backoff = backoffMin
		// A server that answers blocking queries at once must not be hammered.
		pace = rate.NewLimiter(100, 20)
	)
	for pace.Wait(ctx) == nil {
		entries, last, err := i.query(ctx, index)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			i.failed(err)
			index, reset = 0, true
			sleep(ctx, backoff/2+rand.N(backoff/2))
			backoff = min(backoff*2, backoffMax)
			continue
		case last < index:
			index, reset = 0, true
		default:
			index = last
		}
		backoff = backoffMin
		i.answered(entries, reset)
		reset = false
	}
}

func (i *Instancer) query(ctx context.Context, index uint64) ([]*api.ServiceEntry, uint64, error) {
	q := &api.QueryOptions{WaitIndex: index, Filter: i.opts.Filter}
	limit := answerTime
	if index > 0 {
		q.WaitTime = i.wait()
		limit += q.WaitTime + q.WaitTime/16 // Consul adds up to a sixteenth
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The critical ones are asked for too: what they say tells a crash from a
	// departure and from a Consul that forgot.
	entries, meta, err := i.consul.Health().Service(i.service, "", false, q.WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("ask Consul for %s: %w", i.service, err)
	}
	return entries, max(meta.LastIndex, 1), nil // an index of 0 would not block
}

// wait ends the query early when a doubt ends.
func (i *Instancer) wait() time.Duration {
	if end, ok := i.memory.next(); ok {
		return min(max(time.Until(end), time.Millisecond), i.opts.Wait)
	}
	return i.opts.Wait
}

func (i *Instancer) answered(entries []*api.ServiceEntry, reset bool) {
	if i.err.Swap(nil) != nil {
		i.log.Info("Consul answers again")
	}
	answer := make([]listed, len(entries))
	for n, entry := range entries {
		answer[n] = read(entry, i.opts.OnlyPassing)
	}
	instances := i.memory.believe(time.Now(), answer, reset)
	if i.board.publish(Snapshot{Instances: instances, Ready: true}) {
		i.log.Debug("instances changed", "instances", len(instances), "listed", len(entries))
	}
}

func (i *Instancer) failed(err error) {
	if i.err.Swap(&err) == nil {
		i.log.Warn("Consul does not answer; the last known instances stay", "err", err)
	}
	if now := i.Snapshot(); !now.Ready {
		i.board.publish(Snapshot{Err: err})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
