package target_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// ejected lists who is out of rotation, and why.
func ejected(x *target.Target) map[string]string {
	out := map[string]string{}
	for _, m := range x.Report().Members {
		if m.Ejected != "" {
			out[m.ID] = m.Ejected
		}
	}
	return out
}

// reasons are the ejections by their reason.
func reasons(t *testing.T, r *prometheus.Registry) map[string]float64 {
	families, err := r.Gather()
	if err != nil {
		t.Error(err)
	}
	why := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if f.GetName() == "kitmesh_ejections_total" && label.GetName() == "reason" {
					why[label.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return why
}

// watched runs f and returns when each instance was first seen out of rotation.
func watched(t *testing.T, f *fleet, rate int, d time.Duration) map[string]time.Duration {
	begin, first := time.Now(), map[string]time.Duration{}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for id := range ejected(f.x) {
				if _, seen := first[id]; !seen {
					first[id] = time.Since(begin)
				}
			}
			time.Sleep(time.Millisecond)
		}
	})
	f.run(t, rate, d)
	stop()
	wg.Wait()
	return first
}

// One of three fails half of its calls, never many in a row. It is out soon and
// the callers notice nothing.
func TestHalfFailingIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		begin := time.Now()
		sick := 2 * time.Second // sound at first: history must not delay
		streak := 0
		f := newFleet(t, 3, 4, target.Options{Metrics: target.NewMetrics(registry)}, func(id string) (time.Duration, error) {
			if id == "x-1" && time.Since(begin) > sick {
				if streak++; streak < 4 && rand.IntN(2) == 0 {
					return around(5 * time.Millisecond), fault.New(fault.Internal, "sick")
				}
				streak = 0
			}
			return around(10 * time.Millisecond), nil
		})
		first := watched(t, f, 720, 17*time.Second)
		_, failed := f.p(0.5, 0)
		share, tries := f.share("x-1", sick+time.Second), float64(len(f.tries))/float64(len(f.calls))
		t.Logf("out after %v, %v ejections, then %.2f %% of the traffic; %d of %d failed, %.4f tries per call",
			first["x-1"]-sick, sum(t, registry, "kitmesh_ejections_total"), 100*share, failed, len(f.calls), tries)
		if why := reasons(t, registry); why["rate"] == 0 {
			t.Errorf("ejections for %v, want some for the rate", why)
		}
		if n := sum(t, registry, "kitmesh_ejected_instances"); int(n) != len(ejected(f.x)) {
			t.Errorf("kitmesh_ejected_instances is %v, the report shows %v", n, ejected(f.x))
		}
		if at := first["x-1"] - sick; at <= 0 || at > time.Second || len(first) > 1 {
			t.Errorf("out since %v, want x-1 only, within a second", first)
		}
		if share > 0.02 || failed > 0 || tries > 1.01 {
			t.Errorf("it got %.2f %%, %d failed, %.4f tries; want at most 2 %%, 0, 1.01", 100*share, failed, tries)
		}
	})
}

// It takes far less than a quarter of a second, if chance does not hide it.
func TestTimeToEjection(t *testing.T) {
	var times []time.Duration
	for range 9 {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			f := newFleet(t, 3, 4, target.Options{}, func(id string) (time.Duration, error) {
				if id == "x-1" && time.Since(begin) > time.Second && rand.IntN(2) == 0 {
					return around(5 * time.Millisecond), fault.New(fault.Internal, "sick")
				}
				return around(10 * time.Millisecond), nil
			})
			times = append(times, watched(t, f, 720, 2*time.Second)["x-1"]-time.Second)
		})
	}
	slices.Sort(times)
	t.Log(times)
	if median := times[len(times)/2]; median <= 0 || median > 150*time.Millisecond || times[1] < 0 {
		t.Errorf("out after %v, want half of them within 150 ms", times)
	}
}

// When all fail alike nobody is worse than the others, whatever the share that
// fails; and failures of somebody else's are no instance's.
func TestEqualFailuresEjectNobody(t *testing.T) {
	for _, tt := range []struct {
		name string
		part float64
		err  error
		most float64 // ejections in 10 s and 7,200 calls
	}{
		{"2 %", 0.02, fault.New(fault.Internal, "a bug"), 0},
		{"10 %", 0.1, fault.New(fault.Internal, "a bug"), 1},
		{"30 %", 0.3, fault.New(fault.Unavailable, "a bug"), 3},
		{"half", 0.5, fault.New(fault.Unavailable, "a bug"), 6},
		{"passed on", 1, fault.From("payments", fault.New(fault.Unavailable, "away")), 0},
		{"not found", 1, fault.New(fault.NotFound, "no"), 0},
		{"shed", 1, fault.New(fault.Overloaded, "full"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := prometheus.NewRegistry()
				f := newFleet(t, 3, 4, target.Options{Metrics: target.NewMetrics(registry)}, func(string) (time.Duration, error) {
					if rand.Float64() < tt.part {
						return around(5 * time.Millisecond), tt.err
					}
					return around(10 * time.Millisecond), nil
				})
				f.run(t, 720, 10*time.Second)
				n := sum(t, registry, "kitmesh_ejections_total")
				t.Logf("%v ejections", n)
				if n > tt.most {
					t.Errorf("%v ejections, want at most %v", n, tt.most)
				}
			})
		})
	}
}

// A broken instance is asked with one call at a time, ever more seldom, however
// many callers there are; when it is well again it starts slowly.
func TestProbesOfAnEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const well = 60 * time.Second
		f := newFleet(t, 3, 4, target.Options{}, func(id string) (time.Duration, error) {
			if id == "x-1" && time.Since(begin) < well {
				return around(5 * time.Millisecond), fault.New(fault.Internal, "sick")
			}
			return around(10 * time.Millisecond), nil
		})
		f.run(t, 150, 120*time.Second)
		var probes []time.Duration
		for _, a := range f.tries {
			if a.id == "x-1" && a.start > time.Second/2 && a.start < well {
				probes = append(probes, a.start)
			}
		}
		t.Logf("probes at %v", probes)
		if len(probes) < 5 || len(probes) > 16 {
			t.Errorf("%d probes in a minute, want 6 to 8 at 1, 2, 4, 8, 16 and 30 s, less a quarter, and a few before it is found", len(probes))
		}
		if _, failed := f.p(0.5, 0); failed > 0 {
			t.Errorf("%d calls failed", failed)
		}
		if out := ejected(f.x); len(out) > 0 {
			t.Errorf("%v are out long after the recovery", out)
		}
		if share := f.share("x-1", 105*time.Second); share < 0.2 {
			t.Errorf("long after the recovery it gets %.1f %%, want about a third", 100*share)
		}
	})
}

// When the whole service fails, calls fail fast; when it is back everybody is in
// rotation at once, however long it was away.
func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const down, up = 2 * time.Second, 62 * time.Second
		f := newFleet(t, 3, 4, target.Options{}, func(string) (time.Duration, error) {
			if at := time.Since(begin); at > down && at < up {
				return around(5 * time.Millisecond), fault.New(fault.Unavailable, "the database is away")
			}
			return around(10 * time.Millisecond), nil
		})
		time.AfterFunc(up+200*time.Millisecond, func() {
			if out := ejected(f.x); len(out) > 0 {
				t.Errorf("%v are out 200 ms after it was back", out)
			}
		})
		f.run(t, 60, 70*time.Second)
		during, late, slow := 0, 0, time.Duration(0)
		for _, a := range f.tries {
			if a.start > down+500*time.Millisecond && a.start < up {
				during++
			}
		}
		for _, c := range f.calls {
			if c.start > down+500*time.Millisecond && c.start < up {
				slow = max(slow, c.took)
			}
			if c.start > up+100*time.Millisecond && c.err != nil {
				late++
			}
		}
		t.Logf("%d of 3,600 calls reached the broken service, the slowest failed after %v; %d failed after it was back", during, slow, late)
		if late > 0 || slow > 200*time.Millisecond {
			t.Errorf("%d failed later than 100 ms after it was back, the slowest took %v", late, slow)
		}
		for _, m := range f.x.Report().Members {
			if m.Ejected != "" || m.Breaker != middleware.Closed {
				t.Errorf("%s is %s, breaker %s", m.ID, m.Ejected, m.Breaker)
			}
		}
	})
}

// With one of three gone and one broken, the broken one stays in rotation: fewer
// than half would be left. It is out as soon as the third is back.
func TestTooFewAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 3, target.Options{Balance: target.Balance{Policy: target.LeastRequest}}) // latency would keep it away too
		gone := true
		calls := func(n int) {
			for range n {
				_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
					switch id := m.Instance().ID; {
					case id == "x-1" && gone:
						return refused
					case id == "x-2":
						return fault.New(fault.Internal, "sick")
					}
					return nil
				})
				time.Sleep(10 * time.Millisecond)
			}
		}
		calls(300)
		if out := ejected(x); len(out) > 0 {
			t.Errorf("one gone and one broken: %v are out", out)
		}
		gone = false
		calls(1000)
		if out := ejected(x); out["x-2"] == "" || len(out) > 1 {
			t.Errorf("one broken: %v are out", out)
		}
	})
}

// An instance that refuses connections gets no calls anyway: it takes no place
// of one that fails.
func TestGoneTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := of(t, 6, target.Options{Balance: target.Balance{Policy: target.LeastRequest}})
		for range 2000 {
			_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
				if m.Instance().ID == "x-1" {
					return refused
				}
				return nil
			})
			time.Sleep(10 * time.Millisecond)
		}
		if out := ejected(x); len(out) > 0 {
			t.Errorf("%v are out", out)
		}
	})
}
