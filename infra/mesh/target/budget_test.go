package target

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func spend(b *budget) (n int) {
	for b.retry() {
		n++
	}
	return n
}

func TestBudgetExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(0.2, 10)
		if n := spend(b); n != 100 {
			t.Errorf("an idle caller may retry %d times, want 100", n)
		}
		for range 1000 {
			b.call()
		}
		if n := spend(b); n != 200 {
			t.Errorf("after 1,000 calls %d more, want 200", n)
		}
		time.Sleep(9 * time.Second)
		if n := spend(b); n != 0 {
			t.Errorf("9 s later %d, want 0: the window is 10 s", n)
		}
		time.Sleep(time.Second)
		if n := spend(b); n != 100 {
			t.Errorf("10 s later %d, want the floor's 100 again", n)
		}
	})
}

// spell is a time without a change of the load: calls, then wanted retries, then
// a pause of any length, so that everything also falls on the edges of seconds.
type spell struct{ Calls, Wanted, Millis int }

var spells = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) spell {
	return spell{
		rapid.IntRange(0, 300).Draw(rt, "calls"),
		rapid.IntRange(0, 200).Draw(rt, "wanted"),
		rapid.OneOf(rapid.IntRange(0, 3000), rapid.Just(1000), rapid.Just(999), rapid.Just(10000), rapid.Just(11000)).Draw(rt, "ms"),
	}
}), 1, 80)

// happened is what a budget saw at a time.
type happened struct {
	at             time.Duration
	calls, retries int
}

// between sums up what happened from a time on and before another.
func between(log []happened, from, to time.Duration) (calls, retries int) {
	for _, h := range log {
		if h.at >= from && h.at < to {
			calls, retries = calls+h.calls, retries+h.retries
		}
	}
	return calls, retries
}

// Whenever a retry is granted: those of the 10 s before it are at most the share
// of the calls of the 20 s before it (older retries are paid by older calls)
// plus the floor. And none is refused while they are below the share of the
// last 9 s, which is what is left of a window of whole seconds.
func TestBudgetProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ratio := rapid.SampledFrom([]float64{0, 0.1, 0.2, 1}).Draw(rt, "ratio")
		floor := rapid.SampledFrom([]float64{0, 0.5, 10}).Draw(rt, "floor")
		life, broken := spells.Draw(rt, "life"), ""
		synctest.Test(t, func(*testing.T) { // a failure in here would end the test, not the try
			b, start := newBudget(ratio, floor), time.Now()
			var log []happened
			for _, s := range life {
				now := happened{at: time.Since(start), calls: s.Calls}
				for range s.Calls {
					b.call()
				}
				before := b.left()
				for range s.Wanted {
					if b.retry() {
						now.retries++
					}
				}
				log = append(log, now)
				const window = budgetWindow * time.Second
				long, _ := between(log, now.at-2*window, now.at+1)
				_, retries := between(log, now.at-window+time.Second, now.at+1)
				if most := ratio*float64(long) + floor*budgetWindow; now.retries > 0 && float64(retries) > most+1e-6 {
					broken = fmt.Sprintf("at %v: %d retries of %d calls, want at most %v", now.at, retries, long, most)
				}
				if want := int(min(float64(s.Wanted), math.Floor(before+1e-9))); now.retries != want {
					broken = fmt.Sprintf("at %v: %v left, %d wanted, %d granted", now.at, before, s.Wanted, now.retries)
				}
				recent, _ := between(log, now.at-window+time.Second, now.at+1)
				_, old := between(log, now.at-window-time.Second, now.at+1)
				if least := ratio*float64(recent) + floor*budgetWindow - float64(old); now.retries < s.Wanted && least >= 1 {
					broken = fmt.Sprintf("at %v: refused with %v to spare", now.at, least)
				}
				time.Sleep(time.Duration(s.Millis) * time.Millisecond)
			}
		})
		if broken != "" {
			rt.Fatal(broken)
		}
	})
}

// Callers that withdraw at the same time get no more than one after another.
func TestBudgetConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(0.2, 10)
		var granted atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					b.call()
				}
			})
		}
		all.Wait()
		for range 8 {
			all.Go(func() { granted.Add(int64(spend(b))) })
		}
		all.Wait()
		if granted.Load() > 1700 || b.left() < 0 {
			t.Errorf("%d retries of 8,000 calls, want at most 1,700", granted.Load())
		}
		if left := granted.Load() + int64(spend(b)); left != 1700 {
			t.Errorf("%d retries in all, want 1,700: none is lost", left)
		}
	})
}
