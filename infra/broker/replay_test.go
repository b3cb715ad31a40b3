package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

// TestReplay reads a journal to its end, and on from there, also when the
// broker is killed in between.
func TestReplay(t *testing.T) {
	p := startProcess(t)
	j := open(t, connect(t, p.url(), broker.Options{}), "orders")
	var got []broker.Stored
	replay := func(from uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := j.Replay(ctx, from, func(s broker.Stored) { got = append(got, s) }); err != nil {
			t.Fatal(err)
		}
	}
	replay(1)
	if len(got) != 0 {
		t.Fatalf("an empty journal gave %v", got)
	}
	began := time.Now()
	write := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := j.Append(t.Context(), fmt.Sprint("k.", i), "kind", fmt.Append(nil, i), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 600) // more than a reader asks for at a time
	replay(0)
	p.kill()
	p.start()
	write(600, 610)
	replay(601)
	replay(611)
	if len(got) != 610 {
		t.Fatalf("%d events of 610", len(got))
	}
	for i, s := range got {
		if s.Seq != uint64(i+1) || s.Key != fmt.Sprint("k.", i) || string(s.Data) != fmt.Sprint(i) || s.At.Before(began.Add(-time.Minute)) {
			t.Fatalf("event %d is %+v", i, s)
		}
	}
	p.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := j.Replay(ctx, 1, func(broker.Stored) {}); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("without a broker: %v, want unavailable", err)
	}
}
