package target

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/middleware"
)

// flight is a try under way. It is the context of the request, and ends with the
// caller's, early for a reason of our own, or when the try landed.
//
// A context that can end early costs five allocations, and as gRPC derives its
// own from it two more. Nearly all flights land well, so they borrow a line, which
// serves one unary call after the other and is thrown away only when it was cut.
// Who asks for Done gets a context of the flight's own (docs/adr/0018).
type flight struct {
	middleware.PeerContext
	member *Member
	method *method
	start  time.Duration
	until  time.Duration           // when its time is over; 0: only with the caller's
	over   time.Duration           // when the caller's time is over; 0: never
	ends   bool                    // it can end early; else it must not be repeated
	stays  bool                    // there is no other try after it: a silence does not end it
	prompt bool                    // it takes no line: it must end at once when the caller's context does
	slot   *atomic.Pointer[flight] // where the sweeper finds it

	why  atomic.Int32 // an end
	own  atomic.Pointer[ending]
	lent atomic.Bool // it has had a line
	line atomic.Pointer[line]
	wire wire
}

// end is why a flight ended before its caller's time was over.
type end = int32

const (
	flying end = iota
	landed
	late
	stalled
)

var ends = [...]error{nil, nil, errLate, errStalled}

// ending is a context that can be ended.
type ending struct {
	context.Context
	cancel context.CancelCauseFunc
}

// Done implements context.Context.
func (f *flight) Done() <-chan struct{} {
	if !f.ends {
		return f.Context.Done()
	}
	return f.context().Done()
}

// context returns the flight's own context, made when first asked for.
func (f *flight) context() *ending {
	if own := f.own.Load(); own != nil {
		return own
	}
	ctx, cancel := context.WithCancelCause(f.Context)
	if !f.own.CompareAndSwap(nil, &ending{ctx, cancel}) {
		cancel(nil)
		return f.own.Load()
	}
	if why := f.why.Load(); why != flying {
		cancel(ends[why])
	}
	return f.own.Load()
}

// Err implements context.Context.
func (f *flight) Err() error {
	if err := f.Context.Err(); err != nil {
		return err
	}
	if f.why.Load() != flying {
		return context.Canceled
	}
	return nil
}

type flightKey struct{}

// Value implements context.Context.
func (f *flight) Value(key any) any {
	if key == (flightKey{}) {
		return f
	}
	if own := f.own.Load(); own != nil && !f.Answers(key) {
		return own.Value(key) // package context looks for its own there
	}
	return f.PeerContext.Value(key)
}

// end ends the flight; only the first reason counts.
func (f *flight) end(why end) {
	if !f.why.CompareAndSwap(flying, why) {
		return
	}
	if own := f.own.Load(); own != nil {
		own.cancel(ends[why])
	}
	f.cut()
}

// cut ends its call over gRPC.
func (f *flight) cut() {
	if l := f.line.Load(); l != nil {
		l.cut(f)
	}
}

// ended reports whether the try was ended here, before its caller's time was
// over. That is no failure of the instance: of one that says nothing suspicion
// takes care, and one that is slow because calls queue at all of them must not
// be ejected for it. Its latency is held against it.
func (f *flight) ended() bool { return f.why.Load() > landed }

// line is a context that ends the calls which borrow it, one at a time.
type line struct {
	ctx    context.Context
	cancel context.CancelFunc
	flight atomic.Pointer[flight] // which has it
}

var lines = sync.Pool{New: func() any {
	l := &line{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}}

// cut ends the line if the flight still has it. Nobody gets it after that.
func (l *line) cut(f *flight) {
	if l.flight.CompareAndSwap(f, nil) {
		l.cancel()
	}
}

// borrow gives the flight's only unary call a line. It returns nil where the
// context that the call has may end before the flight does.
func (f *flight) borrow(ctx context.Context) *wire {
	if !f.ends || f.prompt || f.own.Load() != nil || !f.lent.CompareAndSwap(false, true) {
		return nil
	}
	l := lines.Get().(*line)
	l.flight.Store(f)
	f.wire = wire{ctx, l}
	f.line.Store(l)
	if ctx.Err() != nil { // who ended it meanwhile may not have seen the line
		l.cut(f)
	}
	return &f.wire
}

// giveBack ends the loan. Not to be called when the call panicked.
func (w *wire) giveBack(f *flight, err error) error {
	f.line.Store(nil)
	if w.line.flight.CompareAndSwap(f, nil) {
		lines.Put(w.line)
	}
	if ended := w.Context.Err(); ended != nil && status.Code(err) == codes.Canceled {
		return status.FromContextError(ended).Err()
	}
	return err
}

// wire is the context that gRPC gets: all of the request's but its end, which is
// the line's.
type wire struct {
	context.Context
	line *line
}

// Done implements context.Context.
func (w *wire) Done() <-chan struct{} { return w.line.ctx.Done() }

// Err implements context.Context.
func (w *wire) Err() error {
	if err := w.line.ctx.Err(); err != nil {
		return err
	}
	return w.Context.Err()
}

// Value implements context.Context.
func (w *wire) Value(key any) any {
	if v := w.line.ctx.Value(key); v != nil { // package context looks for its own
		return v
	}
	return w.Context.Value(key)
}
