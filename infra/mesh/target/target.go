package target

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/middleware"
)

// Target is one called service. It is safe for concurrent use.
type Target struct {
	opts        Options
	dialOptions []grpc.DialOption
	log         *slog.Logger
	metrics     bound
	budget      *budget
	hedges      *budget
	start       time.Time

	set        atomic.Pointer[set]
	methods    methods
	pulse      pulse
	ejector    ejector
	throttle   throttle
	flights    flights
	aloft      int                // of them, in the sweeper's last round
	sweeping   atomic.Bool        // the sweeper is not at rest
	wake       chan struct{}      // ends its rest
	speaksGRPC atomic.Bool        // some method goes over gRPC: connections matter
	labels     map[labels]*labels // of apply
	yielded    atomic.Uint64      // float64 bits: the part of the calls that gave up on their zone
	cursors    [3]*cursor         // of all members, the caller's zone and the others
	caller     string             // for the subset
	counts     bool               // inFlight is kept
	inFlight   atomic.Int64       // of all members
	slots      atomic.Int32
	calls      atomic.Uint64
	retries    atomic.Uint64

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup // its own goroutines

	mu     sync.Mutex
	live   map[*Member]struct{} // members whose connection is not closed
	closed chan struct{}        // after Close: closed when live is empty
}

// New returns a Target that follows o.Source until Close. It waits for nothing.
func New(o Options) *Target {
	t := assemble(o)
	t.done.Go(func() { t.follow(t.ctx) })
	t.done.Go(t.sweep)
	return t
}

// assemble makes a Target that has no goroutine yet: a simulation drives it.
func assemble(o Options) *Target {
	o = o.withDefaults()
	dial := dialOptions()
	if o.Tracer != nil {
		dial = append(dial, grpc.WithChainUnaryInterceptor(middleware.InjectB3()))
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &Target{
		opts:        o,
		dialOptions: append(dial, o.DialOptions...),
		log:         o.Logger.With("target", o.Service),
		metrics:     o.Metrics.bind(o.Service),
		budget:      newBudget(o.Retry.Ratio, o.Retry.Floor),
		hedges:      newBudget(hedgeShare, 0),
		start:       time.Now(),
		wake:        make(chan struct{}, 1),
		ctx:         ctx, stop: stop,
		labels: map[labels]*labels{}, live: map[*Member]struct{}{},
	}
	t.caller, t.counts, t.cursors = t.callerName(), o.Balance.hashes(), t.newCursors()
	t.throttle.k = o.Throttle.K
	t.set.Store(&set{pool: pool{target: t}, changed: make(chan struct{})})
	t.apply(o.Source.Snapshot())
	o.Metrics.watch(t)
	return t
}

// Service is the name of the called service.
func (t *Target) Service() string { return t.opts.Service }

// now is the time since New: monotonic, and small enough for an atomic.
func (t *Target) now() time.Duration { return time.Since(t.start) }

func (t *Target) follow(ctx context.Context) {
	for {
		snap := t.opts.Source.Snapshot()
		t.apply(snap)
		select {
		case <-snap.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// apply makes the set of a snapshot: known members stay, with their connection
// and history; new ones come undialled; departed ones finish their calls.
func (t *Target) apply(snap *discovery.Snapshot) {
	old := t.set.Load()
	gone := make(map[string]*Member, len(old.members))
	for _, m := range old.members {
		gone[m.instance.Load().Key()] = m
	}
	next := &set{known: len(snap.Instances), ready: snap.Ready, err: snap.Err, changed: make(chan struct{})}
	next.pool = pool{target: t, cursor: t.cursors[0]}
	for _, instance := range t.subset(snap.Instances) {
		m, known := gone[instance.Key()]
		if known {
			delete(gone, instance.Key())
			m.update(instance)
		} else {
			m = t.newMember(instance)
			t.enter(m)
			if old.ready { // nobody is new to a caller that has just started
				m.startSlowly()
			}
		}
		next.add(m)
	}
	if b := t.opts.Balance; b.Zone != "" {
		next.zones = t.zonesOf(next.members)
	}
	if t.opts.Balance.hashes() {
		next.ring = newRing(next.members)
	}
	t.replace(next)
	t.metrics.instances.Set(float64(len(next.members)))
	for _, m := range gone {
		m.retire(t.opts.Drain)
	}
	t.keepFloor()
}

func (t *Target) replace(next *set) {
	old := t.set.Swap(next)
	close(old.changed)
}

// Close ends the Target: calls in flight get the drain time, new ones fail, and
// when it returns every connection and goroutine is gone. It may be called any
// number of times.
func (t *Target) Close() error {
	t.stop()
	t.done.Wait()
	t.opts.Metrics.forget(t)
	t.mu.Lock()
	if t.closed != nil {
		t.mu.Unlock()
		<-t.closed
		return nil
	}
	t.closed = make(chan struct{})
	if len(t.live) == 0 {
		close(t.closed)
	}
	t.mu.Unlock()
	members := t.set.Load().members
	t.replace(&set{pool: pool{target: t}, changed: make(chan struct{})})
	for _, m := range members {
		m.retire(t.opts.Drain)
	}
	<-t.closed
	return nil
}

func (t *Target) enter(m *Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[m] = struct{}{}
}

// ended notes that a member's connection is closed.
func (t *Target) ended(m *Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, m)
	if t.closed != nil && len(t.live) == 0 {
		close(t.closed)
	}
}

// breakerOf returns the settings of a member's breaker, which opens when the
// floor lets it, and tells the metrics and the log when it changes.
func (t *Target) breakerOf(m *Member) middleware.BreakerSettings {
	s := t.opts.Breaker
	s.Name = m.id
	s.Trip, s.Closed, s.Rand = m.trips, m.returned, t.opts.Rand
	s.OnChange = func(name, from, to string) {
		m.tripped.Store(to != middleware.Closed)
		if to == middleware.Closed {
			m.startSlowly()
			t.keepFloor()
		}
		t.metrics.transition(name, to)
		t.log.Info("breaker changed", "instance", name, "from", from, "to", to, "reason", reason(m.out.Load()))
	}
	return s
}

// Endpoint returns the go-kit endpoint of a method over all instances. dial
// makes it for one connection; it is called once per instance. Methods that
// Retry.Once does not list are taken as idempotent or keyed. Endpoint has the
// shape of an rpc.Dialer.
func (t *Target) Endpoint(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
	w, known, once := t.prepare(method, dial)
	return func(ctx context.Context, request any) (any, error) {
		w := w
		w.request = request
		if known.hedge && !once {
			return t.hedged(ctx, w, known)
		}
		p := progress{work: w, method: known, once: once}
		return t.run(ctx, &p)
	}
}

// prepare makes what all calls of an endpoint have in common. once says that they
// must not be repeated.
func (t *Target) prepare(name string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) (w work, m *method, once bool) {
	t.speaksGRPC.Store(true)
	w.slot = int(t.slots.Add(1)) - 1
	w.build = func(conn grpc.ClientConnInterface) endpoint.Endpoint {
		e := dial(conn)
		if t.opts.PerTry != nil {
			e = t.opts.PerTry(name)(e)
		}
		return middleware.TraceClient(t.opts.Tracer, name)(e)
	}
	return w, t.method(name), slices.Contains(t.opts.Retry.Once, name)
}
