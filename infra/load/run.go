package load

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"time"
)

// Run sends o's load until its duration is over or ctx ends, waits for the
// requests in flight (their deadlines bound it), and returns what it counted.
// A run that ctx ended is not an error; a shop that never listed its products,
// or a history that could not be written, is.
func Run(ctx context.Context, o Options) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	for o.Seed == 0 {
		o.Seed = randomSeed()
	}
	s := newShop(o.URL, o.MaxInFlight)
	defer s.close()
	goods, err := waitForShop(ctx, s, o)
	if err != nil {
		if ctx.Err() != nil { // stopped before there was anything to count
			return Result{Stats: newCounts().stats(), Rate: o.Rate, Seed: o.Seed, Stopped: true}, nil
		}
		return Result{}, err
	}
	g := newGenerator(o, s, goods)
	result := g.run(ctx)
	if o.VerifyOrders {
		// The proof is owed even when the run was stopped; its own limit bounds it.
		v := g.ledger.verify(context.WithoutCancel(ctx), s, g.history)
		result.Verification = &v
	}
	if err := g.history.close(); err != nil {
		return result, fmt.Errorf("the history could not be written: %w", err)
	}
	return result, nil
}

func waitForShop(ctx context.Context, s *shop, o Options) (*assortment, error) {
	if o.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Wait)
		defer cancel()
	}
	return learn(ctx, s, o)
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) >> 11
}

// generator is one run.
type generator struct {
	opts     Options
	shop     *shop
	goods    *assortment
	planner  *planner
	schedule *schedule
	recorder *recorder
	history  *history
	ledger   *ledger
	slots    chan int // free procs; its capacity bounds the requests in flight
	flying   sync.WaitGroup
}

func newGenerator(o Options, s *shop, goods *assortment) *generator {
	rng := func(stream uint64) *mrand.Rand { return mrand.New(mrand.NewPCG(o.Seed, stream)) }
	g := &generator{
		opts: o, shop: s, goods: goods,
		planner:  &planner{mix: o.Mix, rng: rng(1), goods: goods, keys: fmt.Sprintf("load-%x-", randomSeed()), probes: o.Probes, past: &past{}},
		schedule: &schedule{rate: o.Rate, law: o.Arrivals, rng: rng(2)},
		recorder: newRecorder(o.Mix),
		history:  newHistory(o.History),
		slots:    make(chan int, o.MaxInFlight),
	}
	if o.VerifyOrders {
		g.ledger = &ledger{orders: map[string]acknowledged{}}
	}
	for proc := range o.MaxInFlight {
		g.slots <- proc
	}
	return g
}

func (g *generator) run(ctx context.Context) Result {
	start := time.Now()
	if g.opts.Begin != nil {
		g.opts.Begin(start)
	}
	stop := make(chan struct{})
	var ticker sync.WaitGroup
	ticker.Go(func() { g.tick(start, stop) })
	g.dispatch(ctx, start)
	elapsed := time.Since(start)
	g.flying.Wait()
	close(stop)
	ticker.Wait()

	result := g.recorder.result()
	counted := max(0, elapsed-g.opts.Warmup)
	result.Duration = counted.Seconds()
	result.Rate, result.Seed = g.opts.Rate, g.opts.Seed
	result.Stopped = ctx.Err() != nil
	if counted > 0 {
		result.Sent = float64(result.Requests) / counted.Seconds()
	}
	return result
}

// dispatch sends every request at its time. It never waits for an answer; when
// all slots are taken it waits for one, and the requests behind are late.
func (g *generator) dispatch(ctx context.Context, start time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	flight := context.WithoutCancel(ctx) // a stop ends the schedule, not the customers already there
	for {
		at := g.schedule.next()
		if g.opts.Duration > 0 && at >= g.opts.Warmup+g.opts.Duration {
			sleepUntil(ctx, timer, start.Add(g.opts.Warmup+g.opts.Duration))
			return
		}
		v := g.planner.next()
		v.intended = start.Add(at)
		v.counted = at >= g.opts.Warmup
		if !sleepUntil(ctx, timer, v.intended) {
			return
		}
		deadline := v.intended.Add(g.opts.deadline(v.op))
		proc, ok := g.slot(timer, deadline)
		if !ok {
			g.notSent(v)
			continue
		}
		g.flying.Go(func() { g.send(flight, proc, v, deadline) })
	}
}

// slot takes a free slot, waiting no longer than the request's deadline.
func (g *generator) slot(timer *time.Timer, deadline time.Time) (int, bool) {
	if !time.Now().Before(deadline) {
		return 0, false
	}
	select {
	case proc := <-g.slots:
		return proc, true
	default:
	}
	timer.Reset(time.Until(deadline))
	defer timer.Stop()
	select {
	case proc := <-g.slots:
		return proc, true
	case <-timer.C:
		return 0, false
	}
}

// notSent counts a request whose deadline passed before there was a slot: its
// customer saw a shop that did not answer, and the generator was too small.
func (g *generator) notSent(v visit) {
	g.count(result{visit: v, done: time.Now(), late: true, code: "not_sent", outcome: Fail, tries: 1})
}

func (g *generator) send(ctx context.Context, proc int, v visit, deadline time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	res := g.shop.perform(ctx, v, g.goods)
	res.late = res.sent.Sub(v.intended) > g.opts.LateAfter
	g.count(res)
	g.ledger.add(res)
	g.planner.past.answered(res)
	g.history.add(proc, res)
	g.slots <- proc
}

func (g *generator) tick(start time.Time, stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		_ = g.history.flush() // its error is kept and returned at the end
		t := g.recorder.tick()
		t.Elapsed = time.Since(start)
		t.Warmup = t.Elapsed < g.opts.Warmup
		t.InFlight = cap(g.slots) - len(g.slots)
		if g.opts.Tick != nil {
			g.opts.Tick(t)
		}
	}
}
