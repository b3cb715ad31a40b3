package middleware

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/sony/gobreaker"

	"github.com/kitmesh/kitmesh/services/fault"
)

// The states of a Breaker.
const (
	Closed   = "closed"    // calls pass
	Open     = "open"      // calls are refused
	HalfOpen = "half-open" // one call at a time finds out
)

// ErrOpen marks calls that a breaker refused: they never left the process, so
// any other instance may be tried at once.
var ErrOpen = errors.New("circuit breaker is open")

// BreakerSettings configures a Breaker. The zero value is usable.
type BreakerSettings struct {
	Name                string                      // in errors and in OnChange
	ConsecutiveFailures int                         // that open it; 5 if 0
	OpenFor             time.Duration               // until the first probe; 1 s if 0
	OpenMost            time.Duration               // OpenFor doubles up to it while it opens again and again; OpenFor if 0
	ProbeFor            time.Duration               // a silent probe makes room for another after this; OpenFor if 0
	Probes              int                         // that must succeed in a row, one at a time, to close it; 1 if 0
	OnChange            func(name, from, to string) // called in order, without locks held; may use the Breaker

	// Trip, if set, decides whether a failure opens the Breaker; streak is how
	// many there were in a row. Closed tells at once that it closed. Both run
	// under the Breaker's lock: they must not use it, nor wait.
	Trip   func(streak int) bool
	Closed func()

	Rand func() uint64 // where its chance comes from; math/rand/v2's own if nil
}

// BreakerCounts are totals since the Breaker was made. Unlike gobreaker's own
// they survive every change of state.
type BreakerCounts struct {
	Requests       uint64 // admitted
	Successes      uint64 // answered, the caller's own mistakes included
	Failures       uint64 // the instance's own failures
	Neutral        uint64 // the caller left: says nothing about the instance
	ShortCircuited uint64 // refused
	Opened         uint64 // times it opened
}

// Breaker stops calls to one instance that keeps failing. It wraps gobreaker
// and differs from kit's adapter where that one is wrong in failure:
//
//   - fault.Blames decides what counts as a failure;
//   - a call that its caller cancelled counts as nothing at all;
//   - outcomes are booked when they are known, not reserved in advance, so a
//     probe that hangs or is cancelled holds up the next one no longer than
//     ProbeFor and decides nothing;
//   - it says itself when the open state ends: gobreaker's time is fixed, this one
//     doubles for an instance that keeps coming back broken, and is random within
//     a quarter, so that callers do not probe it in step;
//   - OnChange runs outside every lock.
//
// A Breaker is safe for concurrent use.
type Breaker struct {
	// Written under mu, read without it: successes of a healthy instance, which
	// are nearly all there is, take no lock. They come first, in one cache line:
	// a caller of many instances finds few of them in its cache.
	closed              atomic.Bool
	streak              atomic.Uint32 // failures in a row while closed
	generation          atomic.Uint64 // of the state; outcomes of an older one are stale
	requests, successes atomic.Uint64

	failures, neutral, shorted, opened atomic.Uint64

	settings *BreakerSettings // apart: a Breaker inside something else stays small

	mu         sync.Mutex // guards all below; never held while foreign code runs
	cb         *gobreaker.CircuitBreaker
	openUntil  time.Time     // when the open state ends; closed: when it ended
	openFor    time.Duration // how long the last one lasted, before the randomness
	row        int           // times it opened that are not forgotten
	probe      uint64        // the running probe, 0 if there is none
	probes     uint64        // numbers the probes
	probeUntil time.Time     // when the running probe stops keeping others out
	changes    []change      // made, not yet announced
	announcing bool          // a goroutine is announcing
}

type change struct{ from, to string }

// NewBreaker returns a closed Breaker.
func NewBreaker(s BreakerSettings) *Breaker {
	b := &Breaker{}
	b.Init(s)
	return b
}

// Init makes a zero Breaker a closed one, for those who keep it inside something
// of their own. Call it once, before all else.
func (b *Breaker) Init(s BreakerSettings) {
	if s.ConsecutiveFailures <= 0 {
		s.ConsecutiveFailures = 5
	}
	if s.OpenFor <= 0 {
		s.OpenFor = time.Second
	}
	if s.ProbeFor <= 0 {
		s.ProbeFor = s.OpenFor
	}
	s.OpenMost, s.Probes = max(s.OpenMost, s.OpenFor), max(s.Probes, 1)
	if s.Rand == nil {
		s.Rand = rand.Uint64
	}
	if s.Trip == nil {
		s.Trip = func(streak int) bool { return streak >= s.ConsecutiveFailures }
	}
	b.settings = &s
	b.cb = b.fresh()
	b.closed.Store(true)
}

func (b *Breaker) fresh() *gobreaker.CircuitBreaker {
	return gobreaker.NewCircuitBreaker(gobreaker.Settings{
		Name:          b.settings.Name,
		MaxRequests:   uint32(b.settings.Probes),
		Timeout:       1, // over as soon as it is asked; state asks when it should be over
		ReadyToTrip:   func(c gobreaker.Counts) bool { return b.settings.Trip(int(c.ConsecutiveFailures)) },
		IsSuccessful:  func(err error) bool { return !fault.Blames(err) },
		OnStateChange: b.changed,
	})
}

// state is gobreaker's, which is asked only when the open state is over. Call it
// under mu.
func (b *Breaker) state(now time.Time) gobreaker.State {
	if !b.closed.Load() && now.Before(b.openUntil) {
		return gobreaker.StateOpen
	}
	return b.cb.State()
}

// changed runs inside gobreaker, under its mutex and ours: it only takes notes.
func (b *Breaker) changed(_ string, from, to gobreaker.State) {
	b.generation.Add(1)
	b.streak.Store(0)
	b.probe = 0
	b.closed.Store(to == gobreaker.StateClosed)
	switch to {
	case gobreaker.StateOpen:
		b.opened.Add(1)
		b.openUntil = time.Now().Add(b.backoff(from))
	case gobreaker.StateClosed:
		b.openUntil = time.Now()
		if b.settings.Closed != nil {
			b.settings.Closed()
		}
	}
	if b.settings.OnChange != nil {
		b.changes = append(b.changes, change{from.String(), to.String()})
	}
}

// backoff is how long it stays open this time: twice as long as last time, but
// for each time as long that it was well since, once less.
func (b *Breaker) backoff(from gobreaker.State) time.Duration {
	if from == gobreaker.StateClosed && b.row > 0 {
		b.row = max(b.row-int(time.Since(b.openUntil)/b.openFor), 0)
	}
	b.openFor = b.settings.OpenFor
	for range b.row {
		if b.openFor >= b.settings.OpenMost/2 {
			b.openFor = b.settings.OpenMost
			break
		}
		b.openFor *= 2
	}
	b.row++
	if b.settings.OpenMost > b.settings.OpenFor {
		return b.openFor - time.Duration(b.settings.Rand()%uint64(b.openFor/4+1))
	}
	return b.openFor
}

// Reset closes the Breaker and forgets what it held against the instance.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.unlock()
	from := b.state(time.Now())
	b.cb, b.row = b.fresh(), 0
	b.streak.Store(0)
	b.generation.Add(1) // calls that began before it say nothing any more
	if from != gobreaker.StateClosed {
		b.changed("", from, gobreaker.StateClosed)
	}
}

// Streak is how many failures in a row there were while it was closed.
func (b *Breaker) Streak() int { return int(b.streak.Load()) }

// OpenUntil is when the open state ends, or ended; the zero time before it opened.
func (b *Breaker) OpenUntil() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.openUntil
}

// unlock ends a locked section and announces the changes made in it. Whoever
// announces goes on until none are left, so that announcements keep their
// order and a callback may itself change the state.
func (b *Breaker) unlock() {
	if b.announcing || len(b.changes) == 0 {
		b.mu.Unlock()
		return
	}
	b.announcing = true
	for len(b.changes) > 0 {
		todo := b.changes
		b.changes = nil
		b.mu.Unlock()
		for _, c := range todo {
			b.settings.OnChange(b.settings.Name, c.from, c.to)
		}
		b.mu.Lock()
	}
	b.announcing = false
	b.mu.Unlock()
}

// Name returns the name the Breaker was made with.
func (b *Breaker) Name() string { return b.settings.Name }

// State returns Closed, Open or HalfOpen.
func (b *Breaker) State() string {
	if b.closed.Load() {
		return Closed
	}
	b.mu.Lock()
	defer b.unlock()
	return b.state(time.Now()).String()
}

// Ready reports whether a call made now would be admitted. It admits nothing:
// balancers ask it before they choose.
func (b *Breaker) Ready() bool {
	if b.closed.Load() {
		return true
	}
	b.mu.Lock()
	defer b.unlock()
	now := time.Now()
	return b.admits(b.state(now), now)
}

// Look loads what a call on a closed breaker needs: a balancer that is about to
// make one has it fetched from memory along with what else it needs.
func (b *Breaker) Look() bool { return b.closed.Load() }

// Counts returns the totals.
func (b *Breaker) Counts() BreakerCounts {
	return BreakerCounts{
		Requests: b.requests.Load(), Successes: b.successes.Load(), Failures: b.failures.Load(),
		Neutral: b.neutral.Load(), ShortCircuited: b.shorted.Load(), Opened: b.opened.Load(),
	}
}

func (b *Breaker) admits(s gobreaker.State, now time.Time) bool {
	switch s {
	case gobreaker.StateOpen:
		return false
	case gobreaker.StateHalfOpen:
		return b.probe == 0 || !now.Before(b.probeUntil)
	}
	return true
}

// Permit is the right to make one call, given by Allow.
type Permit struct {
	b          *Breaker
	generation uint64
	probe      uint64
}

// Allow admits a call, which must end in Permit.Done, or refuses it with a
// fault.Unavailable that is ErrOpen.
func (b *Breaker) Allow() (Permit, error) {
	if generation := b.generation.Load(); b.closed.Load() {
		b.requests.Add(1)
		return Permit{b: b, generation: generation}, nil
	}
	b.mu.Lock()
	now := time.Now()
	state := b.state(now)
	if !b.admits(state, now) {
		wait := max(b.openUntil.Sub(now), 0)
		if state == gobreaker.StateHalfOpen {
			wait = max(b.probeUntil.Sub(now), 0)
		}
		b.unlock()
		b.shorted.Add(1)
		return Permit{}, b.refusal(wait)
	}
	p := Permit{b: b, generation: b.generation.Load()}
	if state == gobreaker.StateHalfOpen {
		b.probes++
		b.probe, p.probe = b.probes, b.probes
		b.probeUntil = now.Add(b.settings.ProbeFor)
	}
	b.unlock()
	b.requests.Add(1)
	return p, nil
}

func (b *Breaker) refusal(wait time.Duration) error {
	return &fault.Error{
		Code:       fault.Unavailable,
		Message:    b.settings.Name + " kept failing and is left alone for a moment",
		RetryAfter: wait,
		Cause:      ErrOpen,
	}
}

// answered is what gobreaker is told to execute for a call that went well.
func answered() (any, error) { return nil, nil }

// failed is the same for a call that ended with err.
func failed(err error) func() (any, error) {
	return func() (any, error) { return nil, err }
}

// Done books the outcome of the call. Call it once. A cancelled ctx makes any
// error neutral.
func (p Permit) Done(ctx context.Context, err error) {
	b := p.b
	neutral := err != nil && (fault.CodeOf(err) == fault.Canceled || errors.Is(ctx.Err(), context.Canceled))
	outcome := answered
	switch {
	case neutral:
		b.neutral.Add(1)
	case fault.Blames(err):
		b.failures.Add(1)
		outcome = failed(err)
	default:
		b.successes.Add(1)
		if b.closed.Load() && b.streak.Load() == 0 {
			return // nothing to reset
		}
	}
	b.mu.Lock()
	defer b.unlock()
	if p.probe != 0 && p.probe == b.probe {
		b.probe = 0
	}
	// The state first: time may have moved it on, and with it the generation.
	if b.state(time.Now()); !neutral && p.generation == b.generation.Load() {
		_, _ = b.cb.Execute(outcome)
		if b.closed.Load() {
			b.streak.Store(b.cb.Counts().ConsecutiveFailures)
		}
	}
}

// errPanicked stands for an endpoint that panicked instead of answering.
var errPanicked = errors.New("the endpoint panicked")

// Middleware guards an endpoint with the Breaker.
func (b *Breaker) Middleware(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (response any, err error) {
		permit, err := b.Allow()
		if err != nil {
			return nil, err
		}
		err = errPanicked
		defer func() { permit.Done(ctx, err) }()
		response, err = next(ctx, request)
		return response, err
	}
}
