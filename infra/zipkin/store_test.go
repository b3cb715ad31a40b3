package zipkin

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// post stores spans given as JSON.
func post(t testing.TB, s *Store, body string) {
	t.Helper()
	b := s.batch()
	if err := decodeJSON([]byte(body), b.add); err != nil {
		t.Fatal(err)
	}
	s.accept(b)
}

// madeTrace is trace n: spans of its own service and one shared by all.
func madeTrace(n, spans int) string {
	list := make([]string, spans)
	for i := range list {
		list[i] = fmt.Sprintf(`{"traceId":"%x","id":"%x","name":"n%d","timestamp":%d,"duration":5,"localEndpoint":{"serviceName":"s%d"},"remoteEndpoint":{"serviceName":"all"}}`,
			n+1, i+1, n, 1_700_000_000_000_000+int64(n)*1000+int64(i), n)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func TestEvictsWholeTracesOldestFirst(t *testing.T) {
	s := NewStore(Limits{Spans: 10}, nil)
	for n := range 5 {
		post(t, s, madeTrace(n, 3))
	}
	if got := s.Stats(); got.Spans != 9 || got.Traces != 3 || got.EvictedTraces != 2 || got.EvictedSpans != 6 {
		t.Errorf("stats %+v", got)
	}
	for n := range 5 {
		want := 3
		if n < 2 {
			want = 0
		}
		if got := len(s.trace(0, uint64(n+1))); got != want {
			t.Errorf("trace %d has %d spans, want %d", n, got, want)
		}
	}
	if got, want := s.services(), []string{"s2", "s3", "s4"}; !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	if got := s.spanNames("s0"); len(got) != 0 {
		t.Errorf("names of an evicted service: %v", got)
	}
}

// TestArrivalNotClock: spans from a clock that is years ahead do not stay.
func TestArrivalNotClock(t *testing.T) {
	s := NewStore(Limits{Spans: 3}, nil)
	post(t, s, `[{"traceId":"f00","id":"1","timestamp":9000000000000000}]`)
	for n := range 3 {
		post(t, s, madeTrace(n, 1))
	}
	if len(s.trace(0, 0xf00)) != 0 {
		t.Error("the trace from the future is still there")
	}
}

// TestOneEndlessTrace: a tracer that uses one id for everything fills nothing.
func TestOneEndlessTrace(t *testing.T) {
	s := NewStore(Limits{Spans: 100, Bytes: 1 << 20}, nil)
	for i := range 1000 {
		post(t, s, fmt.Sprintf(`[{"traceId":"1","id":"%x","timestamp":%d}]`, i+1, i+1))
		if got := s.Stats(); got.Spans > 100 {
			t.Fatalf("%d spans", got.Spans)
		}
	}
}

// TestNothingLeft: what evicted spans shared goes with them, to the byte.
func TestNothingLeft(t *testing.T) {
	s := NewStore(Limits{Spans: 50}, nil)
	for n := range 200 {
		post(t, s, madeTrace(n, 1+n%40))
		post(t, s, madeTrace(n, 1+n%40)) // equal spans are kept once
	}
	s.mu.Lock()
	s.makeRoom(51, 0)
	s.mu.Unlock()
	if got := s.Stats(); got.Spans != 0 || got.Traces != 0 || got.Bytes != 0 {
		t.Errorf("stats %+v", got)
	}
	if n := s.names; len(n.symbols)+len(n.hosts)+len(n.services) != 0 || len(s.timeline.chunks) != 0 {
		t.Errorf("left: %d symbols, %d hosts, %d services, %d chunks", len(n.symbols), len(n.hosts), len(n.services), len(s.timeline.chunks))
	}
}

func TestEqualSpansOnce(t *testing.T) {
	s := NewStore(Limits{}, nil)
	for range 3 {
		post(t, s, madeTrace(1, 100))
	}
	if got := s.Stats().Spans; got != 100 {
		t.Errorf("%d spans, want 100", got)
	}
}

// TestTimeline holds the timeline against a sorted list.
func TestTimeline(t *testing.T) {
	var line timeline
	var want []slot
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		if len(want) > 0 && rng.IntN(3) == 0 {
			i := rng.IntN(len(want))
			line.remove(want[i])
			want = slices.Delete(want, i, i+1)
			continue
		}
		s := slot{rng.Int64N(500), &trace{low: rng.Uint64()}}
		line.insert(s)
		i, _ := slices.BinarySearchFunc(want, s, slot.compare)
		want = slices.Insert(want, i, s)
	}
	newest := slices.Clone(want)
	slices.Reverse(newest)
	if got := line.before(slot{ms: 1 << 40}, len(want)+1, nil); !slices.Equal(got, newest) {
		t.Fatal("not in order")
	}
	for range 100 { // in pages
		i := rng.IntN(len(newest) - 20)
		if got := line.before(newest[i], 10, nil); !slices.Equal(got, newest[i+1:i+11]) {
			t.Fatalf("page after %d is wrong", i)
		}
	}
	for _, s := range want {
		line.remove(s)
	}
	if len(line.chunks) != 0 {
		t.Errorf("%d chunks left", len(line.chunks))
	}
}

// TestNewestFirst: search pages through many traces in order of time, whatever
// the order of their arrival.
func TestNewestFirst(t *testing.T) {
	s := NewStore(Limits{}, nil)
	for _, n := range rand.New(rand.NewPCG(3, 4)).Perm(1000) {
		post(t, s, madeTrace(n, 2))
	}
	q := query{endTs: 1_700_000_100_000, lookback: defaultLookback, limit: 700, remote: "all"}
	found, err := s.search(t.Context(), &q)
	if err != nil || len(found) != 700 {
		t.Fatalf("%d traces, %v", len(found), err)
	}
	for i, records := range found {
		if got := int(records[0].raw[len(`{"traceId":"`)+15]); i == 0 && got == 0 {
			t.Fatal("unreadable")
		}
		if want := 1_700_000_000_000_000 + int64(999-i)*1000; records[0].ts != want {
			t.Fatalf("place %d has the trace of %d, want %d", i, records[0].ts, want)
		}
	}
}

// TestManyAtOnce stores, evicts, searches and links at the same time; the race
// detector watches.
func TestManyAtOnce(t *testing.T) {
	s := NewStore(Limits{Spans: 500}, []string{"env"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for n := range 300 {
				post(t, s, madeTrace(n*3+w, 5))
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 50 {
				q := query{endTs: 1_800_000_000_000, lookback: 200_000_000_000, limit: 20, tags: []tagQuery{{key: "error"}}}
				if _, err := s.search(t.Context(), &q); err != nil {
					t.Error(err)
				}
				if _, err := s.dependencies(ctx, q.endTs, q.lookback); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				s.services()
				s.Stats()
			}
		})
	}
	wg.Wait()
	if got := s.Stats(); got.Spans > 500 {
		t.Errorf("stats %+v", got)
	}
}

// TestDeepAndWide: traces made to cost much are linked in linear time.
func TestDeepAndWide(t *testing.T) {
	const n = 50_000
	var deep, wide strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&deep, `,{"traceId":"1","id":"%x","parentId":"%x","timestamp":%d}`, i+1, i, 1000)
		fmt.Fprintf(&wide, `,{"traceId":"2","id":"%x","parentId":"1","timestamp":%d,"kind":"SERVER","localEndpoint":{"serviceName":"b"}}`, i+1, 1000)
	}
	s := NewStore(Limits{}, nil)
	post(t, s, `[{"traceId":"1","id":"1","timestamp":1000,"kind":"SERVER","localEndpoint":{"serviceName":"a"}}`+deep.String()+"]")
	post(t, s, `[{"traceId":"2","id":"1","timestamp":1000,"kind":"SERVER","localEndpoint":{"serviceName":"a"}}`+wide.String()+"]")
	began := time.Now()
	links, err := s.dependencies(t.Context(), 10, 10)
	if err != nil || len(links) != 1 || links[0].calls != n {
		t.Errorf("links %v, %v", links, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("linking took %s", took)
	}
}
