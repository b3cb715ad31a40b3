package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

// TestOneWriterWinsWhateverTheKinds has writers on two connections race for
// every event of one key, each with a kind of its own.
func TestOneWriterWinsWhateverTheKinds(t *testing.T) {
	const writers, events = 8, 40
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	var journals [2]*broker.Journal
	for i := range journals {
		journals[i] = open(t, connect(t, s.URL(), broker.Options{}), "orders")
	}
	var after uint64
	for round := range events {
		var won atomic.Int64
		var next atomic.Uint64
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				seq, err := journals[w%2].Append(t.Context(), "a", fmt.Sprint("kind-", w), nil, after)
				switch {
				case err == nil:
					won.Add(1)
					next.Store(seq)
				case fault.CodeOf(err) != fault.Conflict:
					t.Errorf("round %d, writer %d: %v", round, w, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d writers won, want 1", round, won.Load())
		}
		after = next.Load()
		if _, last, err := journals[0].Last(t.Context(), "a"); err != nil || last != after {
			t.Fatalf("round %d: Last = %d, %v; want %d", round, last, err, after)
		}
	}
	if tail, err := journals[0].Tail(t.Context()); err != nil || tail != events {
		t.Errorf("%d events are stored (%v), want %d", tail, err, events)
	}
}

func TestConsumeChoosesByKind(t *testing.T) {
	j, _ := journal(t, "orders")
	var last uint64
	write := func(key string, kinds ...string) {
		last = 0
		for _, kind := range kinds {
			var err error
			if last, err = j.Append(t.Context(), key, kind, []byte(kind), last); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("a.b", "placed", "", "confirmed")
	var placed, ends, all tally
	for name, c := range map[string]struct {
		kinds []string
		seen  *tally
	}{"first": {[]string{"placed"}, &placed}, "ends": {[]string{"confirmed", "cancelled"}, &ends}, "all": {nil, &all}} {
		background(t, func(ctx context.Context) error {
			return j.Consume(ctx, name, c.kinds, func(_ context.Context, key string, _ uint64, event []byte) error {
				c.seen.add(key + "/" + string(event))
				return nil
			})
		})
	}
	write("c", "placed", "", "cancelled")
	write("last", "placed", "confirmed")
	eventually(t, "every consumer's last event", func() bool {
		return placed.of("last/placed") == 1 && ends.of("last/confirmed") == 1 && all.of("last/confirmed") == 1
	})
	for name, c := range map[string]struct {
		seen *tally
		want string
	}{
		"first": {&placed, "a.b/placed c/placed last/placed"},
		"ends":  {&ends, "a.b/confirmed c/cancelled last/confirmed"},
		"all":   {&all, "a.b/placed a.b/ a.b/confirmed c/placed c/ c/cancelled last/placed last/confirmed"},
	} {
		want := strings.Split(c.want, " ")
		for _, key := range want {
			eventually(t, name+" sees "+key, func() bool { return c.seen.of(key) == 1 })
		}
		if got := c.seen.keys(); got != len(want) {
			t.Errorf("%s saw %d different events, want %d", name, got, len(want))
		}
	}
	for _, bad := range []string{"_", "a.b", "*", ">"} {
		if _, err := j.Append(t.Context(), "k", bad, nil, 0); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("kind %q: %v, want invalid", bad, err)
		}
		if err := j.Consume(t.Context(), "bad", []string{bad}, nil); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("consuming kind %q: %v, want invalid", bad, err)
		}
	}
}

func (c *tally) keys() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.n)
}

func TestScanFindsAKindInARange(t *testing.T) {
	j, _ := journal(t, "orders")
	var placed []string
	for i := range 1200 { // more than one request of a reader
		kind := ""
		if i%2 == 0 {
			kind = "placed"
			placed = append(placed, fmt.Sprint("k", i, "@", i+1))
		}
		if _, err := j.Append(t.Context(), fmt.Sprint("k", i), kind, []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []struct {
		from, to uint64
		want     []string
	}{
		{0, 5000, placed}, {1, 1, nil}, {1, 2, placed[:1]}, {2, 4, placed[1:2]}, {1199, 1201, placed[599:]}, {1200, 1300, nil}, {9000, 9999, nil},
	} {
		var got []string
		if err := j.Scan(t.Context(), "placed", r.from, r.to, func(key string, seq uint64) { got = append(got, fmt.Sprint(key, "@", seq)) }); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(r.want) {
			t.Errorf("Scan of [%d, %d) found %d events %v, want %d", r.from, r.to, len(got), got, len(r.want))
		}
	}
}

// TestLatestAndFollow reads the last event of every key and goes on from there:
// nothing old, no gap.
func TestLatestAndFollow(t *testing.T) {
	j, _ := journal(t, "stock")
	err := j.Latest(t.Context(), func(key, _ string, _ uint64, _ []byte) { t.Errorf("an event of %s in an empty journal", key) })
	if err != nil {
		t.Fatalf("Latest of an empty journal: %v", err)
	}
	last := map[string]uint64{}
	write := func(key string) {
		t.Helper()
		seq, err := j.Append(t.Context(), key, "", []byte(key), last[key])
		if err != nil {
			t.Fatal(err)
		}
		last[key] = seq
	}
	for range 100 {
		write("a")
		write("b")
	}
	write("c")
	got := map[string]uint64{}
	tail := uint64(0)
	err = j.Latest(t.Context(), func(key, kind string, seq uint64, event []byte) {
		if _, twice := got[key]; twice || string(event) != key || kind != "" {
			t.Errorf("%q of %s, kind %q", event, key, kind)
		}
		got[key] = seq
		tail = seq
	})
	if err != nil || !maps.Equal(got, last) {
		t.Fatalf("Latest = %v, %v; want %v", got, err, last)
	}
	write("a") // 202
	var mu sync.Mutex
	var seen []uint64
	background(t, func(ctx context.Context) error {
		return j.Follow(ctx, tail, func(_ string, seq uint64, _ []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, seq)
		})
	})
	eventually(t, "what was written meanwhile", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(seen, 202) })
	write("b")
	eventually(t, "the news", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(seen, 203) })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(seen, []uint64{201, 202, 203}) {
		t.Errorf("followed %v since the event 201", seen)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := j.Latest(gone, func(string, string, uint64, []byte) {}); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("Latest of a caller who left: %v, want canceled", err)
	}
}

// TestStreamOfAnotherVersion has a journal meet a stream with other subjects.
func TestStreamOfAnotherVersion(t *testing.T) {
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.*"}}); err != nil {
		t.Fatal(err)
	}
	_, err = connect(t, s.URL(), broker.Options{}).Journal(t.Context(), "orders")
	if fault.CodeOf(err) != fault.Internal || !strings.Contains(fault.MessageOf(err), "empty store") {
		t.Errorf("a stream of another version: %v, want a fault that says what to do", err)
	}
}

// TestRead reads one key's events of some kinds.
func TestRead(t *testing.T) {
	j, _ := journal(t, "stock")
	last := map[string]uint64{}
	for i := range 30 {
		key := []string{"a", "b", "a.b"}[i%3]
		seq, err := j.Append(t.Context(), key, []string{"x", "y"}[i%2], []byte(key), last[key])
		if err != nil {
			t.Fatal(err)
		}
		last[key] = seq
	}
	for _, r := range []struct {
		key   string
		kinds []string
		from  uint64
		want  []uint64
	}{
		{"a", nil, 0, []uint64{1, 4, 7, 10, 13, 16, 19, 22, 25, 28}},
		{"a", []string{"y"}, 0, []uint64{4, 10, 16, 22, 28}},
		{"a.b", []string{"x", "y"}, 20, []uint64{21, 24, 27, 30}},
		{"a", []string{"x"}, 29, nil},
		{"c", nil, 0, nil},
	} {
		var got []uint64
		err := j.Read(t.Context(), r.key, r.kinds, r.from, func(seq uint64, event []byte) {
			if string(event) != r.key {
				t.Errorf("%q was read of %s", event, r.key)
			}
			got = append(got, seq)
		})
		if err != nil || !slices.Equal(got, r.want) {
			t.Errorf("Read(%s, %v, %d) = %v, %v; want %v", r.key, r.kinds, r.from, got, err, r.want)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := j.Read(gone, "a", nil, 0, func(uint64, []byte) {}); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("Read of a caller who left: %v, want canceled", err)
	}
	if err := j.Read(t.Context(), "", nil, 0, func(uint64, []byte) {}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("Read of no key: %v, want invalid", err)
	}
}
