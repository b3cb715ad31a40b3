package target_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// without dials nothing: the endpoint alone answers.
func without(e endpoint.Endpoint) func(grpc.ClientConnInterface) endpoint.Endpoint {
	return func(grpc.ClientConnInterface) endpoint.Endpoint { return e }
}

// Of calls that take 10 ms, after a while each 40th takes 500: those are overtaken, few
// others are, and the slow tries end when they have lost.
func TestSlowCallsAreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries, hedges, ended atomic.Int32
		slow := false
		x := of(t, 3, target.Options{Retry: target.Retry{Hedge: []string{"x.Read"}}})
		e := x.Endpoint("x.Read", without(func(ctx context.Context, _ any) (any, error) {
			tries.Add(1)
			peer, _ := middleware.PeerFrom(ctx)
			if peer.Hedge {
				hedges.Add(1)
				if peer.Try != 2 {
					t.Errorf("a hedge is try %d, want 2", peer.Try)
				}
			}
			took := time.Duration(8+rand.IntN(4)) * time.Millisecond
			if !peer.Hedge && slow {
				took = 500 * time.Millisecond
			}
			select {
			case <-time.After(took):
				return peer.Instance, nil
			case <-ctx.Done():
				ended.Add(1)
				return nil, ctx.Err()
			}
		}))
		const calls = 3000
		slowOnes, slowest := 0, time.Duration(0)
		for n := range calls {
			if slow = n > 500 && n%40 == 0; slow {
				slowOnes++
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			if _, err := e(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if n > 500 {
				slowest = max(slowest, time.Since(begin))
			}
			cancel()
		}
		synctest.Wait()
		t.Logf("%d tries for %d calls, %d of them slow, %d ended, slowest %v", tries.Load(), calls, slowOnes, ended.Load(), slowest)
		if slowest > 40*time.Millisecond {
			t.Errorf("the slowest call took %v, want at most 40 ms", slowest)
		}
		if n := int(hedges.Load()); n < slowOnes || n > calls/10 {
			t.Errorf("%d calls were hedged, want the %d slow ones and at most a tenth of all", n, slowOnes)
		}
		if n := int(ended.Load()); n < slowOnes {
			t.Errorf("%d slow tries ended of %d that lost", n, slowOnes)
		}
		for _, m := range x.Report().Members {
			if m.InFlight != 0 || m.Breaker != middleware.Closed || m.Failures != 0 {
				t.Errorf("%+v: want nothing in flight and no failure: to lose is none", m)
			}
		}
	})
}

// The outcome is the winner's, and of two failures the first try's; without
// budget, another instance or a known percentile there is no hedge.
func TestHedges(t *testing.T) {
	slow := func(ctx context.Context) error {
		select {
		case <-time.After(100 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for name, tt := range map[string]struct {
		members int
		retry   target.Retry
		learn   int // answers in 10 ms before
		first   func(context.Context) error
		second  func(context.Context) error
		took    time.Duration // about
		code    fault.Code
	}{
		"the second wins":   {3, target.Retry{}, 100, slow, nil, 12 * time.Millisecond, ""},
		"the first wins":    {3, target.Retry{}, 100, slow, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 100 * time.Millisecond, ""},
		"the second fails":  {3, target.Retry{}, 100, slow, func(context.Context) error { return fault.New(fault.Internal, "bug") }, 100 * time.Millisecond, ""},
		"the second panics": {3, target.Retry{}, 100, slow, func(context.Context) error { panic("boom") }, 100 * time.Millisecond, ""},
		"both fail": {3, target.Retry{Max: 1}, 100,
			func(ctx context.Context) error { _ = slow(ctx); return fault.New(fault.NotFound, "first") },
			func(context.Context) error { return fault.New(fault.Internal, "second") }, 100 * time.Millisecond, fault.NotFound},
		"unmeasured":   {3, target.Retry{}, 0, slow, nil, 100 * time.Millisecond, ""},
		"one instance": {1, target.Retry{}, 100, slow, nil, 100 * time.Millisecond, ""},
		"no budget":    {3, target.Retry{Ratio: -1, Floor: -1}, 100, slow, nil, 100 * time.Millisecond, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			tt.retry.Hedge = []string{"x.Read"}
			x := of(t, tt.members, target.Options{Retry: tt.retry})
			learning := true
			e := x.Endpoint("x.Read", without(func(ctx context.Context, _ any) (any, error) {
				peer, _ := middleware.PeerFrom(ctx)
				switch {
				case learning:
					time.Sleep(10 * time.Millisecond)
				case !peer.Hedge:
					return "first", tt.first(ctx)
				case tt.second != nil:
					return "second", tt.second(ctx)
				}
				return "quick", nil
			}))
			for range tt.learn {
				_, _ = e(t.Context(), nil)
			}
			learning = false
			begin := time.Now()
			_, err := e(t.Context(), nil)
			took := time.Since(begin)
			if fault.CodeOf(err) != tt.code || took < tt.took-3*time.Millisecond || took > tt.took+3*time.Millisecond {
				t.Errorf("%s: %v after %v, want code %q after %v", name, err, took, tt.code, tt.took)
			}
			synctest.Wait()
		})
	}
}
