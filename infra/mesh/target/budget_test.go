package target

import (
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

// In any 10 s the retries stay below the share of the calls plus the floor.
func TestBudgetProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			const ratio, floor = 0.2, 5.0
			b := newBudget(ratio, floor)
			var calls, retries [60]int
			for second := range 60 {
				calls[second] = rapid.IntRange(0, 300).Draw(rt, "calls")
				for range calls[second] {
					b.call()
				}
				for range rapid.IntRange(0, 200).Draw(rt, "wanted") {
					if b.retry() {
						retries[second]++
					}
				}
				time.Sleep(time.Second)
			}
			for end := budgetWindow; end <= 60; end++ {
				c, r := 0, 0
				for s := end - budgetWindow; s < end; s++ {
					c, r = c+calls[s], r+retries[s]
				}
				// What the oldest seconds withdrew was covered by calls before the
				// window: those deposits are the slack.
				before := 0
				for s := max(0, end-2*budgetWindow); s < end-budgetWindow; s++ {
					before += calls[s]
				}
				if most := ratio*float64(c+before) + floor*budgetWindow; float64(r) > most {
					rt.Fatalf("seconds %d to %d: %d retries of %d calls, want at most %.0f", end-budgetWindow, end, r, c, most)
				}
			}
		})
	})
}
