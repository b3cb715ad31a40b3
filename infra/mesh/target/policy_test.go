package target_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

var policies = []target.Policy{target.PeakEWMA, target.LeastRequest, target.RoundRobin, target.Hash}

// seeded is a source of chance that repeats itself.
func seeded(seed uint64) func() uint64 {
	var mu sync.Mutex
	source := rand.NewPCG(seed, 1)
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return source.Uint64()
	}
}

// instant makes n calls one after the other that take no time, and counts them
// by instance.
func instant(ctx context.Context, x *target.Target, n int) map[string]int {
	got := map[string]int{}
	for range n {
		_ = x.Do(ctx, read, func(_ context.Context, m *target.Member) error {
			got[m.Instance().ID]++
			return nil
		})
	}
	return got
}

// Equally fast members get calls by their weight, under each policy, and none of
// them starves.
func TestSharesFollowWeights(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		policy := rapid.SampledFrom(policies).Draw(r, "policy")
		weights := rapid.SliceOfN(rapid.IntRange(1, 8), 1, 12).Draw(r, "weights")
		seed := rapid.Uint64().Draw(r, "seed")
		list, sum := instances(len(weights)), 0
		for i, w := range weights {
			list[i].Weight = w
			sum += w
		}
		const calls = 10_000
		var got map[string]int
		synctest.Test(t, func(t *testing.T) { // whose clock stands still: all are equally fast
			x := of(t, 0, target.Options{
				Source: discovery.NewStatic(list...), Rand: seeded(seed), Balance: target.Balance{Policy: policy},
			})
			got = instant(t.Context(), x, calls)
		})
		for i, w := range weights {
			share, want := float64(got[list[i].ID])/calls, float64(w)/float64(sum)
			low, high := want*0.75, want*1.25+0.02
			if policy == target.RoundRobin {
				low, high = want*0.95-0.001, want*1.05+0.001
			}
			if share < low || share > high {
				r.Errorf("%s: %s of weight %d in %v got %.4f, want %.4f", policy, list[i].ID, w, weights, share, want)
			}
		}
	})
}

// Whatever the policy: a call that goes on elsewhere never goes to a member it
// has tried, and none of its tries goes to a broken one while another is left.
func TestNoPolicyRepeatsAMember(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		policy := rapid.SampledFrom(policies).Draw(r, "policy")
		n := rapid.IntRange(2, 30).Draw(r, "instances")
		max := rapid.IntRange(2, 8).Draw(r, "tries")
		seed := rapid.Uint64().Draw(r, "seed")
		list := instances(n)
		for i := range list {
			list[i].Zone = fmt.Sprintf("z%d", rapid.IntRange(0, 2).Draw(r, "zone"))
			list[i].Weight = rapid.IntRange(1, 5).Draw(r, "weight")
		}
		x := target.New(target.Options{
			Service: "x", Source: discovery.NewStatic(list...), Rand: seeded(seed),
			Balance: target.Balance{Policy: policy, Zone: "z0"},
			Retry:   target.Retry{Max: max, Base: 1, Cap: 1, Floor: 1e6},
			Breaker: middleware.BreakerSettings{ConsecutiveFailures: 1 << 20},
		})
		defer func() { _ = x.Close() }()
		for range 20 {
			ctx := target.WithHashKey(t.Context(), fmt.Sprint(rapid.IntRange(0, 9).Draw(r, "key")))
			went := map[string]bool{}
			_ = x.Do(ctx, read, func(_ context.Context, m *target.Member) error {
				if id := m.Instance().ID; went[id] {
					r.Errorf("%s: %s tried twice", policy, id)
				} else {
					went[id] = true
				}
				return fault.New(fault.Internal, "no")
			})
			if want := min(n, max); len(went) != want {
				r.Errorf("%s: %d of %d instances tried, want %d", policy, len(went), n, want)
			}
		}
	})
}

// An open breaker, a refused connection: no policy goes there.
func TestPoliciesPassOverTheBroken(t *testing.T) {
	for _, policy := range policies {
		synctest.Test(t, func(t *testing.T) {
			x := of(t, 5, target.Options{Balance: target.Balance{Policy: policy}})
			went := map[string]int{}
			call := func(key int) error {
				return x.Do(target.WithHashKey(t.Context(), fmt.Sprint(key)), read, func(_ context.Context, m *target.Member) error {
					id := m.Instance().ID
					went[id]++
					if id == "x-2" {
						return refused
					}
					return nil
				})
			}
			for key := range 200 {
				if err := call(key); err != nil {
					t.Fatalf("%s: %v", policy, err)
				}
			}
			if went["x-2"] != 1 {
				t.Errorf("%s: %d calls to the one that refuses, want 1", policy, went["x-2"])
			}
		})
	}
}

// The set changes all the time while calls run; none of them fails or waits.
func TestUpdatesStallNoCall(t *testing.T) {
	for _, policy := range policies {
		list := instances(40)
		source := discovery.NewStatic(list...)
		x := of(t, 0, target.Options{Source: source, Balance: target.Balance{Policy: policy, Zone: "a", Subset: 20}})
		ctx := target.WithHashKey(t.Context(), "one")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := x.Do(ctx, read, func(context.Context, *target.Member) error { return nil }); err != nil {
						t.Errorf("%s: %v", policy, err)
						return
					}
				}
			})
		}
		for range 200 {
			next := append([]discovery.Instance(nil), list...)
			rand.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
			next = next[:10+rand.IntN(30)]
			for i := range next {
				next[i].Weight, next[i].Zone = 1+rand.IntN(3), []string{"a", "b"}[rand.IntN(2)]
			}
			source.Set(next...)
		}
		close(stop)
		wg.Wait()
	}
}

// The same seed, the same picks.
func TestSeededPicksRepeat(t *testing.T) {
	for _, policy := range policies {
		run := func() (ids []string) {
			synctest.Test(t, func(t *testing.T) {
				x := of(t, 30, target.Options{Rand: seeded(1), Balance: target.Balance{Policy: policy, Subset: 20}})
				for range 100 {
					_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
						ids = append(ids, m.Instance().ID)
						if len(ids)%3 == 0 {
							return fault.New(fault.Unavailable, "no")
						}
						return nil
					})
				}
			})
			return ids
		}
		a, b := run(), run()
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: %v\nand then %v", policy, a, b)
		}
	}
}

// Round robin spares none: within any round each of equals is chosen once.
func TestTurnsAreEven(t *testing.T) {
	x := of(t, 7, target.Options{Balance: target.Balance{Policy: target.RoundRobin}})
	for id, n := range instant(t.Context(), x, 70) {
		if n != 10 {
			t.Errorf("%s: %d of 70 calls, want 10", id, n)
		}
	}
}
