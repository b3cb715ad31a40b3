package middleware

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/services/fault"
)

// outs opens b, lets probes fail, and returns how long each open state lasted.
func outs(t *testing.T, b *Breaker, n int) (lasted []time.Duration) {
	t.Helper()
	for range b.settings.ConsecutiveFailures {
		_ = call(t, b.Middleware(broken))
	}
	for range n {
		d := time.Until(b.OpenUntil())
		lasted = append(lasted, d)
		time.Sleep(d - 1)
		if b.Ready() || b.State() != Open {
			t.Fatalf("ready %v and %s before its time is over", b.Ready(), b.State())
		}
		time.Sleep(2 * time.Nanosecond)
		if !b.Ready() || b.State() != HalfOpen {
			t.Fatalf("ready %v and %s after its time", b.Ready(), b.State())
		}
		_ = call(t, b.Middleware(broken))
	}
	return lasted
}

// The open time doubles up to its bound, is random within a quarter, and an
// instance that behaves gets its short times back one by one.
func TestBreakerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerSettings{Name: "x", OpenMost: 10 * time.Second})
		differ := false
		for i, d := range outs(t, b, 8) {
			most := min(time.Second<<i, 10*time.Second)
			if d > most || d < most*3/4 {
				t.Errorf("open time %d is %v, want at most %v and three quarters of it", i, d, most)
			}
			differ = differ || d != most
		}
		if !differ {
			t.Error("the open times are not random")
		}
		time.Sleep(time.Until(b.OpenUntil()) + 1)
		_ = call(t, b.Middleware(fine))
		time.Sleep(70 * time.Second) // seven times as long as it was away
		if d := outs(t, b, 1)[0]; d > 4*time.Second || d < 3*time.Second {
			t.Errorf("after 70 good seconds it opens for %v, want 4 s less a quarter", d)
		}
		b.Reset()
		if d := outs(t, b, 1)[0]; d > time.Second {
			t.Errorf("after a reset it opens for %v, want 1 s", d)
		}
	})
}

// Whatever happens, an open time is between OpenFor and OpenMost, less a quarter.
func TestBreakerBackoffProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(rt, "OpenFor"))
		most := time.Duration(rapid.Int64Range(0, 1<<62).Draw(rt, "OpenMost"))
		good := rapid.SliceOfN(rapid.Int64Range(-1, int64(time.Hour)), 1, 80).Draw(rt, "good")
		var wrong time.Duration
		synctest.Test(t, func(t *testing.T) { // a failure in here would end the test, not the try
			b := NewBreaker(BreakerSettings{Name: "x", ConsecutiveFailures: 1, OpenFor: base, OpenMost: most})
			for _, d := range good {
				_ = call(t, b.Middleware(broken))
				if b.openFor < base || b.openFor > max(base, most) {
					wrong = b.openFor
				}
				b.mu.Lock()
				b.openUntil = time.Now() // years would overflow the clock of the test
				b.mu.Unlock()
				time.Sleep(time.Nanosecond)
				if d >= 0 { // it recovers
					_ = call(t, b.Middleware(fine))
					time.Sleep(time.Duration(d))
				}
			}
		})
		if wrong != 0 {
			rt.Fatalf("open for %v, want %v to %v", wrong, base, max(base, most))
		}
	})
}

// A Breaker that was reset is closed, says so, and ignores what began before.
func TestBreakerReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed, announced := 0, ""
		b := NewBreaker(BreakerSettings{
			Name: "x", Closed: func() { closed++ },
			OnChange: func(_, from, to string) { announced += from + ">" + to + " " },
		})
		for range 4 {
			_ = call(t, b.Middleware(broken))
		}
		old, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if old.Done(t.Context(), fault.New(fault.Internal, "late")); b.State() != Closed || b.Streak() != 0 {
			t.Fatalf("%s after a fifth failure that began before the reset, streak %d", b.State(), b.Streak())
		}
		trip(t, b)
		b.Reset()
		if b.State() != Closed || !b.Ready() || closed != 1 || announced != "closed>open open>closed " {
			t.Fatalf("%s, told %d times, announced %q", b.State(), closed, announced)
		}
	})
}

// Trip alone decides, and is asked on every failure.
func TestBreakerTrip(t *testing.T) {
	var asked []int
	b := NewBreaker(BreakerSettings{Name: "x", Trip: func(streak int) bool {
		asked = append(asked, streak)
		return len(asked) == 7
	}})
	for i := range 7 {
		if b.State() != Closed {
			t.Fatalf("open after %d failures", i)
		}
		_ = call(t, b.Middleware(broken))
		if i == 2 {
			_ = call(t, b.Middleware(fine))
		}
	}
	if b.State() != Open || asked[2] != 3 || asked[3] != 1 {
		t.Errorf("%s, asked with streaks %v", b.State(), asked)
	}
}
