package target

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/services/fault"
)

func some(from, n int) (list []discovery.Instance) {
	for i := range n {
		list = append(list, discovery.Instance{Service: "x", ID: fmt.Sprintf("x-%d", from+i), Addr: fmt.Sprintf("127.0.0.1:%d", from+i+1)})
	}
	return list
}

// standings is how many members of the set are out, by their own account.
func (t *Target) standings() (out, lost int) {
	now := t.now()
	for _, m := range t.set.Load().members {
		switch {
		case m.out.Load() != 0:
			out++
		case m.unreachable(now):
			lost++
		}
	}
	return out, lost
}

func TestMayBeOut(t *testing.T) {
	for _, tt := range []struct{ n, lost, want int }{
		{0, 0, 0}, {1, 0, 0}, {2, 0, 1}, {2, 1, 0}, {3, 0, 1}, {3, 1, 0}, {4, 0, 1}, {5, 0, 1},
		{6, 0, 2}, {6, 2, 1}, {6, 3, 0}, {9, 0, 3}, {10, 9, 0}, {10000, 0, 3333},
	} {
		if got := mayBeOut(tt.n, tt.lost, 1./3); got != tt.want {
			t.Errorf("of %d with %d lost %d may be out, want %d", tt.n, tt.lost, got, tt.want)
		}
	}
	for n := range 200 {
		for lost := range n + 1 {
			if out := mayBeOut(n, lost, 1); out > 0 && 2*(n-out-lost) < n {
				t.Errorf("of %d with %d lost %d may be out: less than half would be left", n, lost, out)
			}
		}
	}
}

// Whatever is held against whom by how many at the same time: never more than
// the floor allows are out, and in the end the count is right.
func TestFloorHoldsConcurrently(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		x := New(Options{Service: "x", Source: discovery.NewStatic(some(0, n)...)})
		defer func() { _ = x.Close() }()
		most := mayBeOut(n, 0, x.opts.Eject.Share)
		var all sync.WaitGroup
		for g := range 4 {
			moves := rapid.SliceOfN(rapid.IntRange(0, 6*n-1), 1, 200).Draw(rt, "moves")
			all.Go(func() {
				for _, move := range moves {
					m, why := x.set.Load().members[move/6], reason(1<<(move%3))
					if move%6 < 3 {
						m.eject(why)
					} else {
						m.readmit(why)
					}
					if out, _ := x.standings(); out > most && g == 0 {
						// Counting is no snapshot: what moved meanwhile counts twice. The
						// places are what must hold.
						if held := int(x.ejector.out.Load()); held > most {
							rt.Errorf("%d of %d are out, want at most %d", held, n, most)
						}
					}
				}
			})
		}
		all.Wait()
		if out, _ := x.standings(); out != int(x.ejector.out.Load()) || out > most {
			rt.Fatalf("%d of %d are out, %d places are taken, want at most %d", out, n, x.ejector.out.Load(), most)
		}
	})
}

// step is something that happens, and how many calls come after it.
type step struct{ What, Who, Calls int }

const (
	joins = iota
	leaves
	restarts
	fails
	refuses
	recovers
	fallsSilent
	timePasses
)

// A life of calls, failures, refusals, silence, restarts and changing sets: at
// each step the floor holds, or every member fails and the circuit is open.
func TestFloorProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// All is drawn here: rapid cannot unwind the goroutine of synctest.
		n := rapid.IntRange(1, 9).Draw(rt, "n")
		life := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				rapid.IntRange(joins, timePasses).Draw(rt, "what"),
				rapid.IntRange(0, 20).Draw(rt, "who"),
				rapid.IntRange(0, 60).Draw(rt, "calls"),
			}
		}), 1, 40).Draw(rt, "life")
		broken := ""
		synctest.Test(t, func(t *testing.T) {
			w := world{list: some(0, n), sick: map[string]error{}}
			w.source = discovery.NewStatic(w.list...)
			w.x = New(Options{Service: "x", Source: w.source})
			defer func() { _ = w.x.Close() }()
			for i, s := range life {
				w.happens(s, i)
				synctest.Wait()
				if broken = w.check(); broken != "" && s.What < fails {
					return
				}
				for range s.Calls {
					_ = w.x.Do(t.Context(), Call{Method: "x.Read", Idempotent: true}, func(_ context.Context, m *Member) error { return w.sick[m.id] })
				}
				time.Sleep(200 * time.Millisecond)
				w.x.watchFloor(w.x.now()) // the sweeper does it while calls run
				if broken = w.check(); broken != "" {
					return
				}
			}
		})
		if broken != "" {
			rt.Fatal(broken)
		}
	})
}

type world struct {
	x      *Target
	source *discovery.Static
	list   []discovery.Instance
	sick   map[string]error
}

func (w *world) happens(s step, i int) {
	if len(w.list) == 0 {
		s.What = joins
	}
	who := s.Who % max(len(w.list), 1)
	switch s.What {
	case joins:
		w.list = append(w.list, some(100+i, 1)...)
	case leaves:
		w.list = append(w.list[:who:who], w.list[who+1:]...)
	case restarts:
		w.list = slices.Clone(w.list)
		w.list[who].Started += "again"
	case fails:
		w.sick[w.list[who].ID] = fault.New(fault.Internal, "sick")
	case refuses:
		w.sick[w.list[who].ID] = fault.Wrap(fault.Unavailable, ErrNotSent, "refused")
	case recovers:
		delete(w.sick, w.list[who].ID)
	case fallsSilent:
		w.x.set.Load().members[who].suspected(w.x.now())
	case timePasses:
		time.Sleep(time.Duration(s.Who) * 250 * time.Millisecond)
	}
	w.source.Set(w.list...)
}

func (w *world) check() string {
	out, lost := w.x.standings()
	if held := int(w.x.ejector.out.Load()); out != held {
		return fmt.Sprintf("%d are out, %d places are taken", out, held)
	}
	circuit := w.x.ejector.circuit.Load()
	if most := mayBeOut(len(w.list), lost, w.x.opts.Eject.Share); out > most && !circuit {
		return fmt.Sprintf("%d of %d are out with %d lost, want at most %d", out, len(w.list), lost, most)
	}
	if circuit && out > 0 && w.x.set.Load().anySound(w.x.now()) {
		return "the circuit is open with a sound member"
	}
	return ""
}
