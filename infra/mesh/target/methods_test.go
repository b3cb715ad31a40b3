package target

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// A bucket's bound is at least what falls into it, by at most a quarter and
// what the resolution of 1 µs adds.
func TestBucketsBoundTheirTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "d"))
		bound := boundOf(bucketOf(d))
		if bound < d || bound > d+d/4+3*time.Microsecond {
			t.Fatalf("%v falls into the bucket to %v", d, bound)
		}
	})
	if got := bucketOf(math.MaxInt64); got != octaves*parts-1 {
		t.Errorf("the longest time falls into bucket %d", got)
	}
	if got := bucketOf(-time.Second); got != 0 {
		t.Errorf("a negative time falls into bucket %d", got)
	}
}

// The 95th percentile is known from 16 answers on, is right within a quarter
// and follows a change.
func TestPercentile(t *testing.T) {
	var q tail
	feed := func(n int, unit time.Duration) {
		for i := range n {
			q.observe(time.Duration(i%100+1) * unit)
		}
	}
	feed(recount/4-1, time.Millisecond)
	if q.p95() != 0 {
		t.Errorf("after a few answers p95 = %v, want unknown", q.p95())
	}
	feed(6400, time.Millisecond)
	if got := q.p95(); got < 94*time.Millisecond || got > 120*time.Millisecond {
		t.Errorf("p95 of 1 to 100 ms = %v", got)
	}
	feed(12800, 10*time.Microsecond)
	if got := q.p95(); got > 1500*time.Microsecond {
		t.Errorf("p95 after the times fell to 10 µs to 1 ms = %v", got)
	}
}

// Names beyond the bound share one entry.
func TestMethodsAreBounded(t *testing.T) {
	x := New(Options{Service: "x", Source: discovery.NewStatic()})
	defer x.Close()
	for n := range 2 * maxMethods {
		if m := x.method(fmt.Sprint(n)); (m == &x.methods.rest) != (n >= maxMethods) {
			t.Fatalf("method %d: shares the rest's entry: %t", n, m == &x.methods.rest)
		}
	}
	if first := x.method("7"); first != x.method("7") {
		t.Error("one name, two entries")
	}
}

// Every flight is found while it is under way and none afterwards, however many
// come and go at once.
func TestFlights(t *testing.T) {
	var l flights
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var mine []*flight
			for n := range 2000 {
				f := &flight{}
				l.add(f, rand.Uint32())
				mine = append(mine, f)
				if n%3 > 0 {
					mine[0].slot.Store(nil)
					mine = mine[1:]
				}
			}
			found := slices.Collect(l.all)
			for _, f := range mine {
				if !slices.Contains(found, f) {
					t.Error("a flight under way is not found")
				}
				f.slot.Store(nil)
			}
		})
	}
	wg.Wait()
	if left := slices.Collect(l.all); len(left) > 0 {
		t.Errorf("%d flights are left", len(left))
	}
}
