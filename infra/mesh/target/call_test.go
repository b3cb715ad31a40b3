package target_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// instances makes n instances "x-1" to "x-n"; nothing listens there.
func instances(n int) []discovery.Instance {
	var out []discovery.Instance
	for i := range n {
		out = append(out, discovery.Instance{Service: "x", ID: fmt.Sprintf("x-%d", i+1), Addr: fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	return out
}

// of makes a Target of n instances that is closed before the test ends.
func of(t *testing.T, n int, o target.Options) *target.Target {
	t.Helper()
	o.Service = "x"
	if o.Source == nil {
		o.Source = discovery.NewStatic(instances(n)...)
	}
	x := target.New(o)
	t.Cleanup(func() { _ = x.Close() })
	return x
}

var read = target.Call{Method: "x.Read", Idempotent: true}

var refused = fault.Wrap(fault.Unavailable, syscall.ECONNREFUSED, "nobody there")

// Each code of a failed try: how many tries the call makes, and that the code
// survives.
func TestWhatIsRetried(t *testing.T) {
	for _, code := range fault.Codes() {
		synctest.Test(t, func(t *testing.T) {
			x := of(t, 4, target.Options{})
			var went []string
			err := x.Do(t.Context(), read, func(ctx context.Context, m *target.Member) error {
				peer, _ := middleware.PeerFrom(ctx)
				if peer.Instance != m.Instance().ID || peer.Try != len(went)+1 || peer.Service != "x" || peer.Addr != m.Addr() {
					t.Errorf("peer = %+v, want member %s and try %d", peer, m.Instance().ID, len(went)+1)
				}
				went = append(went, peer.Instance)
				return fault.New(code, "no")
			})
			want := 1
			if fault.Retryable(fault.New(code, "")) || code == fault.Canceled { // a cancellation that is not ours
				want = 3
			}
			if code == fault.Overloaded { // once more, where nothing was shed lately
				want = 2
			}
			if len(went) != want {
				t.Errorf("%s: %d tries, want %d", code, len(went), want)
			}
			slices.Sort(went)
			if len(slices.Compact(went)) != want {
				t.Errorf("%s: an instance was tried twice: %v", code, went)
			}
			wantCode := code
			if code == fault.Canceled {
				wantCode = fault.Unavailable
			}
			if got := fault.CodeOf(err); got != wantCode {
				t.Errorf("%s: code of the call's error is %s", code, got)
			}
			if e, ok := errors.AsType[*target.Error](err); ok != (want > 1 || fault.Blames(fault.New(wantCode, ""))) || ok && e.Tries != want {
				t.Errorf("%s: error %v; want it to tell %d tries where the instance is to blame", code, err, want)
			}
		})
	}
}

func TestOnceIsRepeatedOnlyWhenNotSent(t *testing.T) {
	write := target.Call{Method: "x.Write"}
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"lost reply":          {fault.New(fault.Unavailable, "connection reset"), 1},
		"internal":            {fault.New(fault.Internal, "bug"), 1},
		"refused":             {refused, 3},
		"HTTP could not dial": {fault.Wrap(fault.Unavailable, &net.OpError{Op: "dial", Err: errors.New("no route")}, "no"), 3},
		"HTTP lost it":        {fault.Wrap(fault.Unavailable, &net.OpError{Op: "read", Err: errors.New("reset")}, "no"), 1},
		"marked":              {fault.Wrap(fault.Unavailable, target.ErrNotSent, "no"), 3},
		"gRPC could not dial": {status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp"`), 3},
		"gRPC lost it":        {status.Error(codes.Unavailable, "error reading from server: EOF"), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			err := of(t, 4, target.Options{}).Do(t.Context(), write, func(context.Context, *target.Member) error {
				tries++
				return tt.err
			})
			if tries != tt.want || err == nil {
				t.Errorf("%s: %d tries, want %d", name, tries, tt.want)
			}
		})
	}
}

// Plain gRPC errors are read as faults: a caller's mistake is not repeated.
func TestPlainGRPCErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[codes.Code]fault.Code{
			codes.NotFound: fault.NotFound, codes.InvalidArgument: fault.Invalid,
			codes.Unavailable: fault.Unavailable, codes.Unknown: fault.Internal, codes.ResourceExhausted: fault.Limited,
		} {
			err := of(t, 1, target.Options{}).Do(t.Context(), read, func(context.Context, *target.Member) error {
				return status.Error(code, "text")
			})
			if got := fault.CodeOf(err); got != want {
				t.Errorf("%v became %s, want %s", code, got, want)
			}
			if status.Code(errors.Unwrap(err)) != code && status.Code(err) != code {
				t.Errorf("%v: the status is lost in %v", code, err)
			}
		}
	})
}

// Pauses grow, are random below their bound, and the first retry of a call that
// was not sent waits for nothing.
func TestBackoff(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		min, max time.Duration // of the first pause
	}{
		"sent":     {fault.New(fault.Unavailable, "reset"), 0, 5 * time.Millisecond},
		"not sent": {refused, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var longest [4]time.Duration
			for range 40 {
				x := of(t, 5, target.Options{Retry: target.Retry{Max: 5}})
				var last time.Time
				tries := 0
				_ = x.Do(t.Context(), read, func(context.Context, *target.Member) error {
					if tries > 0 {
						longest[tries-1] = max(longest[tries-1], time.Since(last))
					}
					tries++
					last = time.Now()
					return tt.err
				})
			}
			if longest[0] > tt.max {
				t.Errorf("%s: first pause %v, want at most %v", name, longest[0], tt.max)
			}
			for n, d := range longest[1:] {
				bound := 5 * time.Millisecond << (n + 1)
				if d > bound || d < bound/10 {
					t.Errorf("%s: longest pause %d was %v of at most %v", name, n+2, d, bound)
				}
			}
		})
	}
}

func TestBudgetEndsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{Retry: target.Retry{Floor: 0.5, Ratio: -1}, Breaker: middleware.BreakerSettings{ConsecutiveFailures: 1000}})
		tries := 0
		var last error
		for range 50 {
			last = x.Do(t.Context(), read, func(context.Context, *target.Member) error {
				tries++
				return fault.New(fault.Internal, "down")
			})
		}
		if tries != 55 {
			t.Errorf("%d tries of 50 calls, want 55: the budget is 0.5/s over 10 s", tries)
		}
		if e, ok := errors.AsType[*target.Error](last); !ok || e.Why != "the retry budget is spent" {
			t.Errorf("error %v, want it to name the budget", last)
		}
	})
}

// One hung instance costs a try, not the call.
func TestTryLimit(t *testing.T) {
	for name, retry := range map[string]target.Retry{
		"fixed": {TryTimeout: 200 * time.Millisecond},
		"share": {TryShare: 0.2},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := of(t, 2, target.Options{Retry: retry})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			hung := ""
			start := time.Now()
			err := x.Do(ctx, read, func(ctx context.Context, m *target.Member) error {
				if hung == "" {
					hung = m.Instance().ID
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			if took := time.Since(start); err != nil || took > 210*time.Millisecond {
				t.Errorf("%s: %v after %v, want success after 200 ms", name, err, took)
			}
			// And when all hang, the code says so: nobody answered; it is not the caller's deadline.
			err = of(t, 1, target.Options{Retry: retry}).Do(ctx, read, func(ctx context.Context, _ *target.Member) error {
				<-ctx.Done()
				return fault.Wrap(fault.Deadline, ctx.Err(), "late")
			})
			want := fault.Unavailable
			if retry.TryShare > 0 {
				want = fault.Deadline // there is nobody else to keep time for
			}
			if fault.CodeOf(err) != want || errors.Is(err, context.DeadlineExceeded) != (want == fault.Deadline) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		})
	}
}

// The caller's own deadline and cancellation keep their names and end the call.
func TestCallersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		tries := 0
		hang := func(ctx context.Context, _ *target.Member) error {
			tries++
			<-ctx.Done()
			return ctx.Err()
		}
		if err := x.Do(ctx, read, hang); fault.CodeOf(err) != fault.Deadline || tries != 1 {
			t.Errorf("%v after %d tries, want the deadline after 1", err, tries)
		}
		if err := x.Do(ctx, read, hang); fault.CodeOf(err) != fault.Deadline || tries != 1 {
			t.Errorf("a call without time: %v after %d tries, want none", err, tries-1)
		}
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		for range 20 { // far more than what opens a breaker
			if err := x.Do(gone, read, hang); fault.CodeOf(err) != fault.Canceled {
				t.Errorf("%v, want canceled", err)
			}
		}
		for _, m := range x.Report().Members {
			if m.Breaker != middleware.Closed {
				t.Errorf("%s: breaker %s, want closed: the callers left", m.ID, m.Breaker)
			}
		}
	})
}

func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{})
		tries := 0
		err := x.Do(t.Context(), read, func(context.Context, *target.Member) error {
			tries++
			panic("boom")
		})
		if fault.CodeOf(err) != fault.Internal || tries != 1 {
			t.Errorf("%v after %d tries, want internal after 1", err, tries)
		}
		func() {
			defer func() {
				if p, _ := recover().(error); !errors.Is(p, http.ErrAbortHandler) {
					t.Errorf("recovered %v, want http.ErrAbortHandler", p)
				}
			}()
			_ = x.Do(t.Context(), read, func(context.Context, *target.Member) error { panic(http.ErrAbortHandler) })
		}()
		for _, m := range x.Report().Members {
			if m.InFlight != 0 {
				t.Errorf("%s: %d in flight after the panics", m.ID, m.InFlight)
			}
		}
	})
}

func TestNoInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := func(context.Context, *target.Member) error { t.Error("called"); return nil }
		start := time.Now()
		err := of(t, 0, target.Options{}).Do(t.Context(), read, called)
		if took := time.Since(start); fault.CodeOf(err) != fault.Unavailable || took != 0 {
			t.Errorf("none: %v after %v, want unavailable at once", err, took)
		}
		if got, want := fault.MessageOf(err), "no instance of x is reachable: there is none"; got != want {
			t.Errorf("message %q, want %q", got, want)
		}

		pending := discovery.NewPending()
		x := of(t, 0, target.Options{Source: pending})
		start = time.Now()
		err = x.Do(t.Context(), read, called)
		if took := time.Since(start); fault.CodeOf(err) != fault.Unavailable || took != 100*time.Millisecond {
			t.Errorf("unknown: %v after %v, want unavailable after 100 ms", err, took)
		}
		time.AfterFunc(50*time.Millisecond, func() { pending.Set(instances(1)...) })
		if err := x.Do(t.Context(), read, func(context.Context, *target.Member) error { return nil }); err != nil {
			t.Errorf("the set came within the wait: %v", err)
		}
	})
}

// Calls that queue everywhere run out of the time of one try. Nobody is ejected
// for that, or the others would queue more.
func TestQueuedInstancesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		x := of(t, 3, target.Options{Retry: target.Retry{TryTimeout: 50 * time.Millisecond}, Metrics: target.NewMetrics(registry)})
		n := 0
		for range 300 {
			n++
			took := 10 * time.Millisecond
			if n > 100 && n < 140 { // not one try ends in time
				took = 80 * time.Millisecond
			}
			_ = x.Do(t.Context(), read, func(ctx context.Context, _ *target.Member) error {
				select {
				case <-time.After(took):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}
		if sum := sum(t, registry, "kitmesh_ejections_total"); sum > 0 {
			t.Errorf("%v ejections of instances that answer, late", sum)
		}
	})
}
