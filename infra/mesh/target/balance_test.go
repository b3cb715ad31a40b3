package target_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

// fleet simulates instances in the time of synctest: each has a few workers and
// a queue. The picks are the real ones.
type fleet struct {
	x       *target.Target
	more    []*target.Target // other callers, called in turn
	workers map[string]chan struct{}
	service func(id string) (time.Duration, error)

	wg    sync.WaitGroup
	mu    sync.Mutex
	calls []outcome
	tries []attempt
}

type outcome struct {
	start, took time.Duration
	err         error
}

type attempt struct {
	start time.Duration
	id    string
}

func newFleet(t *testing.T, n, workers int, o target.Options, service func(id string) (time.Duration, error)) *fleet {
	f := &fleet{x: of(t, n, o), workers: map[string]chan struct{}{}, service: service}
	for _, i := range instances(n) {
		f.workers[i.ID] = make(chan struct{}, workers)
	}
	return f
}

// run calls at a steady rate, in an open loop, each with a second of time.
func (f *fleet) run(t *testing.T, rate int, d time.Duration) {
	begin := time.Now()
	for n := range int(d.Seconds() * float64(rate)) {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		f.wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			x := f.x
			if i := n % (len(f.more) + 1); i > 0 {
				x = f.more[i-1]
			}
			err := x.Do(ctx, read, func(ctx context.Context, m *target.Member) error {
				return f.serve(ctx, m.Instance().ID, time.Since(begin))
			})
			f.mu.Lock()
			defer f.mu.Unlock()
			f.calls = append(f.calls, outcome{start.Sub(begin), time.Since(start), err})
		})
	}
	f.wg.Wait()
}

func (f *fleet) serve(ctx context.Context, id string, at time.Duration) error {
	f.mu.Lock()
	f.tries = append(f.tries, attempt{at, id})
	took, err := f.service(id)
	worker := f.workers[id]
	f.mu.Unlock()
	select {
	case worker <- struct{}{}:
		defer func() { <-worker }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-time.After(took):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// share is the part of the tries from a time on that went to id.
func (f *fleet) share(id string, from time.Duration) float64 {
	all, its := 0, 0
	for _, a := range f.tries {
		if a.start >= from {
			all++
			if a.id == id {
				its++
			}
		}
	}
	return float64(its) / float64(all)
}

// p is a percentile of the time that calls from a time on took, and how many of
// them failed.
func (f *fleet) p(part float64, from time.Duration) (took time.Duration, failed int) {
	var all []time.Duration
	for _, c := range f.calls {
		if c.start < from {
			continue
		}
		all = append(all, c.took)
		if c.err != nil {
			failed++
		}
	}
	slices.Sort(all)
	return all[int(part*float64(len(all)-1))], failed
}

// around is a service time that varies as real ones do, one in 200 a tenfold.
func around(d time.Duration) time.Duration {
	v := time.Duration(float64(d) * (0.7 + 0.3*rand.ExpFloat64()))
	if rand.IntN(200) == 0 {
		return 10 * d
	}
	return v
}

// One of three answers 200 ms later than the others. Within a second it has
// next to no traffic, at any rate; least request alone leaves it more, the more the
// fewer calls are in flight.
func TestSlowInstanceIsAvoided(t *testing.T) {
	for _, rate := range []int{15, 50, 720} {
		for name, balance := range map[string]target.Balance{"peak EWMA": {}, "least request": {Policy: target.LeastRequest}} {
			if (balance.Policy == target.LeastRequest) && rate > 50 {
				continue // so many calls in flight tell the slow one without its latency
			}
			t.Run(fmt.Sprintf("%s at %d/s", name, rate), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, 3, 4, target.Options{Balance: balance}, func(id string) (time.Duration, error) {
						if id == "x-1" {
							return 200*time.Millisecond + around(10*time.Millisecond), nil
						}
						return around(3 * time.Millisecond), nil
					})
					f.run(t, rate, 20*time.Second)
					share := f.share("x-1", time.Second)
					p99, failed := f.p(0.99, time.Second)
					t.Logf("the slow one got %.2f %%, p99 %v, %d failed", 100*share, p99, failed)
					if avoids := share <= 0.02; avoids == (balance.Policy == target.LeastRequest) || failed > 0 {
						t.Errorf("the slow one got %.2f %%, %d failed; want at most 2 %%: %t", 100*share, failed, !(balance.Policy == target.LeastRequest))
					}
				})
			})
		}
	}
}

// Latency that varies by chance must not unbalance equal instances, and costs
// the callers nothing against least request.
func TestEqualsAreEqual(t *testing.T) {
	for _, rate := range []int{20, 720} {
		synctest.Test(t, func(t *testing.T) {
			var p99s []time.Duration
			for _, b := range []target.Balance{{}, {Policy: target.LeastRequest}} {
				f := newFleet(t, 3, 4, target.Options{Balance: b}, func(string) (time.Duration, error) { return around(10 * time.Millisecond), nil })
				f.run(t, rate, time.Duration(max(20, 4000/rate))*time.Second) // of few calls the rare slow ones decide the p99
				p99, _ := f.p(0.99, 0)
				p99s = append(p99s, p99)
				for _, i := range instances(3) {
					share := f.share(i.ID, 0)
					t.Logf("%d/s, %+v: %s got %.1f %%, p99 %v", rate, b, i.ID, 100*share, p99)
					if share < 0.05 || rate > 100 && (share < 0.28 || share > 0.39) {
						t.Errorf("%d/s: %s got %.1f %%, want about a third", rate, i.ID, 100*share)
					}
				}
			}
			if p99s[0] > p99s[1]*3/2 {
				t.Errorf("%d/s: p99 %v, with least request %v", rate, p99s[0], p99s[1])
			}
		})
	}
}

// An instance that fails at once does not look like a fast one.
func TestFailingFastAttractsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 4, target.Options{}, func(id string) (time.Duration, error) {
			if id == "x-1" && rand.IntN(2) == 0 {
				return time.Millisecond, fault.New(fault.Internal, "sick")
			}
			return around(10 * time.Millisecond), nil
		})
		f.run(t, 720, 30*time.Second)
		share := f.share("x-1", time.Second)
		_, failed := f.p(0.99, 0)
		tries := float64(len(f.tries)) / float64(len(f.calls))
		t.Logf("the failing one got %.2f %%, %.4f tries per call", 100*share, tries)
		if share > 0.05 || failed > 0 || tries > 1.025 {
			t.Errorf("the failing one got %.2f %%, %d failed, %.3f tries per call; want at most 5 %%, 0, 1.025", 100*share, failed, tries)
		}
	})
}

// A rare failure of a sound instance does not shift the load to the others.
func TestRareFailuresUnbalanceNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 4, target.Options{}, func(string) (time.Duration, error) {
			if rand.IntN(500) == 0 {
				return time.Millisecond, fault.New(fault.Internal, "a bug")
			}
			return around(10 * time.Millisecond), nil
		})
		f.run(t, 720, 30*time.Second)
		p99, failed := f.p(0.99, 0)
		t.Logf("p99 %v, %d failed", p99, failed)
		if p99 > 50*time.Millisecond || failed > 0 {
			t.Errorf("p99 %v, %d failed; want at most 50 ms, 0", p99, failed)
		}
	})
}

// One that was slow gets its share back.
func TestRecoveredInstanceReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFleet(t, 3, 4, target.Options{}, func(id string) (time.Duration, error) {
			if id == "x-1" && time.Since(begin) < 5*time.Second {
				return 200 * time.Millisecond, nil
			}
			return around(3 * time.Millisecond), nil
		})
		f.run(t, 100, 40*time.Second)
		if share := f.share("x-1", 15*time.Second); share < 0.1 {
			t.Errorf("10 s after the recovery it gets %.1f %%, want a good part", 100*share)
		}
	})
}

// Weights are shares, whatever the load; a new instance starts with a tenth.
func TestSharesOfTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := instances(3)
		list[0].Weight, list[1].Weight, list[2].Weight = 3, 3, 3
		list = append(list, discovery.Instance{Service: "x", ID: "x-4", Addr: "127.0.0.1:4", Weight: 1})
		source := discovery.NewStatic(list[1:]...)
		x := of(t, 0, target.Options{Source: source})
		count := func(n int) map[string]float64 {
			got := map[string]float64{}
			for range n {
				_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
					got[m.Instance().ID] += 1 / float64(n)
					return nil
				})
			}
			return got
		}
		if got := count(5000); got["x-4"] < 0.09 || got["x-4"] > 0.2 {
			t.Errorf("weight 1 of 7 got %.3f of the traffic", got["x-4"])
		}
		source.Set(list...)
		synctest.Wait()
		if got := count(5000); got["x-1"] < 0.02 || got["x-1"] > 0.08 {
			t.Errorf("a new one got %.3f of the traffic at once, want about 0.04", got["x-1"])
		}
		time.Sleep(2 * time.Second)
		if got := count(5000); got["x-1"] < 0.25 || got["x-1"] > 0.4 {
			t.Errorf("after the slow start it got %.3f, want about 0.3", got["x-1"])
		}
	})
}

// A caller that leaves says that the instance was at least that slow.
func TestLeavingCallersAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 4, target.Options{}, func(id string) (time.Duration, error) {
			if id == "x-1" {
				return time.Hour, nil
			}
			return around(3 * time.Millisecond), nil
		})
		f.run(t, 50, 20*time.Second)
		for _, c := range f.calls {
			if c.err != nil && !errors.Is(c.err, context.DeadlineExceeded) {
				t.Fatal(c.err)
			}
		}
		if share := f.share("x-1", 2*time.Second); share > 0.02 {
			t.Errorf("the silent one got %.2f %%, want at most 2 %%", 100*share)
		}
	})
}
