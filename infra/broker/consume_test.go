package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

// tally counts deliveries per key.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[key]++
	return c.n[key]
}

func (c *tally) of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

type postponed time.Duration

func (p postponed) Error() string            { return "not now" }
func (p postponed) Untouched() time.Duration { return time.Duration(p) }

func put(t *testing.T, j *broker.Journal, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if _, err := j.Append(t.Context(), k, "", []byte(k), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConsumeSettlesByOutcome(t *testing.T) {
	j, _ := journal(t, "orders")
	put(t, j, "fine", "fails", "panics", "waits", "ignored", "later")
	var seen tally
	var first, second time.Time
	background(t, func(ctx context.Context) error {
		return j.Consume(ctx, "worker", nil, func(_ context.Context, key string, _ uint64, _ []byte) error {
			n := seen.add(key)
			switch {
			case key == "fails" && n < 3:
				return errors.New("not yet")
			case key == "panics" && n < 2:
				panic("broken handler")
			case key == "waits" && n == 1:
				first = time.Now()
				return &fault.Error{Code: fault.Unavailable, Message: "later", RetryAfter: 300 * time.Millisecond}
			case key == "waits":
				second = time.Now()
			case key == "ignored":
				return postponed(0)
			case key == "later" && n < 2:
				return fmt.Errorf("wrapped: %w", postponed(50*time.Millisecond))
			}
			return nil
		})
	})
	for key, n := range map[string]int{"fine": 1, "fails": 3, "panics": 2, "waits": 2, "ignored": 1, "later": 2} {
		eventually(t, fmt.Sprintf("%d deliveries of %s", n, key), func() bool { return seen.of(key) >= n })
	}
	put(t, j, "last")
	eventually(t, "the last event", func() bool { return seen.of("last") == 1 })
	for key, n := range map[string]int{"fine": 1, "fails": 3, "panics": 2, "waits": 2, "ignored": 1, "later": 2} {
		if got := seen.of(key); got != n {
			t.Errorf("%s was delivered %d times, want %d", key, got, n)
		}
	}
	if d := second.Sub(first); d < 250*time.Millisecond {
		t.Errorf("RetryAfter of 300ms was served after %s", d)
	}
}

// TestConsumeIsSharedAndResumed gives every event to one of two instances, also
// when one ends and the broker is killed between.
func TestConsumeIsSharedAndResumed(t *testing.T) {
	p := startProcess(t)
	var seen tally
	var instances [2]tally
	consume := func(i int) (stop func()) {
		j := open(t, connect(t, p.url(), broker.Options{}), "orders")
		return background(t, func(ctx context.Context) error {
			return j.Consume(ctx, "worker", nil, func(_ context.Context, key string, _ uint64, _ []byte) error {
				instances[i].add("all")
				seen.add(key)
				return nil
			})
		})
	}
	j := open(t, connect(t, p.url(), broker.Options{}), "orders")
	stop := consume(0)
	consume(1)
	n := 0
	write := func(count int) {
		for range count {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if _, err := j.Append(ctx, fmt.Sprint("k", n), "", nil, 0); err != nil {
				t.Fatal(err)
			}
			cancel()
			n++
		}
	}
	all := func() bool {
		for i := range n {
			if seen.of(fmt.Sprint("k", i)) == 0 {
				return false
			}
		}
		return true
	}
	write(200)
	eventually(t, "all events", all)
	if instances[0].of("all") == 0 || instances[1].of("all") == 0 {
		t.Errorf("the instances saw %d and %d events; they should share them", instances[0].of("all"), instances[1].of("all"))
	}
	p.kill()
	p.start()
	write(100)
	eventually(t, "all events after the broker's restart", all)
	stop()
	write(100)
	eventually(t, "all events with one instance", all)
}
