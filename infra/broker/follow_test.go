package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
)

// TestFollowThroughRestarts reads while the broker is killed again and again:
// every event once, in order.
func TestFollowThroughRestarts(t *testing.T) {
	p := startProcess(t)
	j := open(t, connect(t, p.url(), broker.Options{}), "stock")
	other := open(t, connect(t, p.url(), broker.Options{}), "stock")
	write := func(from, to int) {
		for i := from; i < to; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if _, err := j.Append(ctx, fmt.Sprint("k", i), "", fmt.Append(nil, i), 0); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	var mu sync.Mutex
	var got []string
	seen := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= n }
	}
	write(0, 100)
	background(t, func(ctx context.Context) error {
		return other.Follow(ctx, 0, func(_ string, _ uint64, event []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(event))
		})
	})
	eventually(t, "the replay", seen(100))
	for round := range 3 {
		p.kill()
		p.start()
		write(100+round*50, 150+round*50)
		start := time.Now()
		eventually(t, fmt.Sprint("events after restart ", round), seen(150+round*50))
		t.Logf("caught up %s after the last write", time.Since(start).Round(time.Millisecond))
	}
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprint(i))
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("followed %d events, not the 250 written in order: %v", len(got), got)
	}
}
