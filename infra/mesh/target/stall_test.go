package target_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

func suspects(x *target.Target) (ids []string) {
	for _, m := range x.Report().Members {
		if m.Suspect {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// sum adds up a metric over its labels.
func sum(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
	families, err := r.Gather()
	if err != nil {
		t.Error(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// One of three stops for ten seconds with calls in flight. It is suspect within
// 100 ms: what it holds is sent elsewhere, it gets single calls only, which go
// elsewhere in time, no caller sees more than a delay, and it is back after its
// first answer. (One call in 200 takes 100 ms here; where such a one is alone,
// its instance may be suspected too.)
func TestStoppedInstanceIsSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const from, to = 2 * time.Second, 12 * time.Second
		const found = from + 100*time.Millisecond
		registry := prometheus.NewRegistry()
		f := newFleet(t, 3, 4, target.Options{Metrics: target.NewMetrics(registry)}, func(id string) (time.Duration, error) {
			took := around(10 * time.Millisecond)
			if at := time.Since(begin); id == "x-1" && at < to && at+took > from {
				return to - at + took, nil
			}
			return took, nil
		})
		time.AfterFunc(from+2*time.Second, func() { // in the middle of it
			if n := sum(t, registry, "kitmesh_member_suspect"); n != 1 || len(suspects(f.x)) != 1 {
				t.Errorf("kitmesh_member_suspect sums to %v, the report shows %v; want one", n, suspects(f.x))
			}
		})
		f.run(t, 720, 30*time.Second)
		for name, want := range map[string][2]float64{
			"kitmesh_suspicions_total": {1, 3}, "kitmesh_member_suspect": {0, 0},
			"kitmesh_member_ewma_seconds": {0.005, 1}, "kitmesh_member_slow_start": {3, 3},
		} {
			if got := sum(t, registry, name); got < want[0] || got > want[1] {
				t.Errorf("%s sums to %v, want %v to %v", name, got, want[0], want[1])
			}
		}
		during, late := 0, 0
		for _, a := range f.tries {
			if a.id == "x-1" && a.start >= from && a.start < to {
				during++
				if a.start > found {
					late++
				}
			}
		}
		failed, slowest := 0, time.Duration(0)
		for _, c := range f.calls {
			if c.err != nil {
				failed++
			}
			if c.start > from-50*time.Millisecond && c.start < to {
				slowest = max(slowest, c.took)
			}
		}
		t.Logf("%d tries of the stopped one, %d after it was found; %d calls failed, the slowest took %v", during, late, failed, slowest)
		if late > 10 || failed > 0 || slowest > 300*time.Millisecond {
			t.Errorf("%d tries of the stopped one after it was found, %d calls failed, the slowest took %v; want at most 10, 0, 300 ms", late, failed, slowest)
		}
		if ids := suspects(f.x); len(ids) > 0 {
			t.Errorf("%v are suspect long after they returned", ids)
		}
		if share := f.share("x-1", to+7*time.Second); share < 0.2 {
			t.Errorf("7 s after its return it gets %.1f %%, want about a third", 100*share)
		}
	})
}

// Nobody is suspect when instances are queued at nine tenths of what they can
// do, and nobody is when all are silent.
func TestQueuedAndAllSilentAreNotSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		seen := 0
		f := newFleet(t, 3, 4, target.Options{}, func(string) (time.Duration, error) {
			if at := time.Since(begin); at > 5*time.Second && at < 5500*time.Millisecond {
				return 5500*time.Millisecond - at, nil // the caller itself is starved
			}
			return time.Duration(float64(10*time.Millisecond) * (0.5 + rand.Float64())), nil
		})
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					seen += len(suspects(f.x))
				}
			}
		}()
		f.run(t, 1080, 10*time.Second)
		close(stop)
		synctest.Wait()
		if seen > 0 {
			t.Errorf("queued instances were suspect for %d ms", seen)
		}
	})
}

// A slow call that is alone on its instance is no silence of the instance: the
// balancer avoids who was slow, so that calls are alone there. One in 200 takes
// ten times as long here.
func TestSlowCallsAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowCalls(t, 1, func(string, bool) time.Duration { return around(10 * time.Millisecond) })
	})
}

// Of one instance one call in a hundred takes ten times as long, and so does the
// next that is alone: some fifty a minute, which would each be a suspicion.
func TestSlowAndAloneIsNoSilence(t *testing.T) {
	for range 3 { // chance may keep the calls from being alone for all of a run
		synctest.Test(t, func(t *testing.T) {
			served, next := 0, false
			slowCalls(t, 15, func(id string, alone bool) time.Duration {
				if id == "x-1" {
					served++
					if served%100 == 0 || next && alone {
						next = served%100 == 0
						return 100 * time.Millisecond
					}
				}
				return time.Duration(float64(10*time.Millisecond) * (0.7 + 0.3*rand.ExpFloat64()))
			})
		})
	}
}

// slowCalls runs a minute of calls, each of which takes as long as took says, and
// fails when there are more suspicions than most.
func slowCalls(t *testing.T, most float64, took func(id string, alone bool) time.Duration) {
	registry := prometheus.NewRegistry()
	var f *fleet
	f = newFleet(t, 3, 4, target.Options{Metrics: target.NewMetrics(registry)}, func(id string) (time.Duration, error) {
		return took(id, len(f.workers[id]) == 0), nil
	})
	f.run(t, 720, time.Minute)
	tries := float64(len(f.tries)) / float64(len(f.calls))
	n := sum(t, registry, "kitmesh_suspicions_total")
	_, failed := f.p(1, 0)
	t.Logf("%v suspicions, %.4f tries per call, %d failed", n, tries, failed)
	if n > most || failed > 0 || tries > 1.002 {
		t.Errorf("%v suspicions in a minute, %d calls failed, %.4f tries; want at most %v, 0 and 1.002", n, failed, tries, most)
	}
}

// Never more than the floor allows are suspect: of two or three one, of one nobody.
func TestAtMostAThirdIsSuspected(t *testing.T) {
	for n, most := range map[int]int{1: 0, 2: 1, 3: 1, 6: 2} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			f := newFleet(t, n, 1000, target.Options{}, func(id string) (time.Duration, error) {
				if id != "x-1" && time.Since(begin) > time.Second {
					return time.Minute, nil
				}
				return 10 * time.Millisecond, nil
			})
			f.run(t, 500, 1500*time.Millisecond)
			if got := len(suspects(f.x)); got != most {
				t.Errorf("%d of %d are suspect, want %d", got, n, most)
			}
		})
	}
}
