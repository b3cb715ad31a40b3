package main

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// The test binary is the servers' program too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		exit(serve(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// here is a fleet inside the test: three servers whose calls are counted.
type here struct {
	*fleet
	calls [3]atomic.Int64
	spans atomic.Int64 // bodies of spans that arrived
}

func newHere(t *testing.T) *here {
	h := &here{}
	zipkin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.spans.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(zipkin.Close)
	h.fleet = &fleet{zipkin: zipkin.URL}
	for n := range h.calls {
		var open closers
		t.Cleanup(open.close)
		addrs, err := serveKinds(zipkin.URL, &open, grpc.StatsHandler(counter{&h.calls[n]}))
		if err != nil {
			t.Fatal(err)
		}
		h.servers = append(h.servers, &child{addrs: addrs})
	}
	return h
}

// counter counts the calls of a server.
type counter struct{ calls *atomic.Int64 }

func (counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (counter) HandleConn(context.Context, stats.ConnStats)                       {}
func (counter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c counter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.Begin); ok {
		c.calls.Add(1)
	}
}

// A comparison is fair only if everybody answers, and from all servers.
func TestEveryContenderUsesAllServers(t *testing.T) {
	h := newHere(t)
	for _, m := range entrants {
		t.Run(m.name, func(t *testing.T) {
			c, err := m.make(h.fleet, m.name)
			if err != nil {
				t.Fatal(err)
			}
			defer c.stop()
			for n := range h.calls {
				h.calls[n].Store(0)
			}
			if err := c.warm(); err != nil {
				t.Fatal(err)
			}
			if c.name != m.name || c.what == "" {
				t.Errorf("it calls itself %q, %q", c.name, c.what)
			}
			for n := range h.calls {
				// No more than one: go-zero's balancer leaves an instance whose first
				// call was slow, as first calls are, alone for a second.
				if h.calls[n].Load() == 0 {
					t.Errorf("server %d got none of %d calls", n+1, warmCalls)
				}
			}
		})
	}
}

// Rings said to trace everything must do so, and those at 0 % nothing.
func TestTracingIsWhatItSays(t *testing.T) {
	for _, tc := range []struct {
		make   func(*fleet, string) (contender, error)
		traced bool
	}{
		{kitmeshBoth(0), false}, {kitmeshBoth(1), true}, {gokitBoth(0), false}, {gokitBoth(1), true},
	} {
		h := newHere(t)
		c, err := tc.make(h.fleet, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.warm(); err != nil {
			t.Fatal(err)
		}
		c.stop() // flushes
		if got := h.spans.Load(); got > 0 != tc.traced {
			t.Errorf("%s: %d bodies of spans", c.what, got)
		}
	}
}

// Failing must not pass for being quick.
func TestErrorsEndTheComparison(t *testing.T) {
	rows := []row{{contender: contender{name: "x"}, pairs: []pair{{other: cost{calls: 1000, errs: 3}, raw: cost{calls: 1000}}}}}
	if err := check(rows); err == nil {
		t.Error("3 of 2000 failed and nobody minds")
	}
	rows[0].pairs[0].other.errs = 1
	if err := check(rows); err != nil {
		t.Error(err)
	}
}

func TestMeasure(t *testing.T) {
	var sinkhole atomic.Pointer[[64]byte]
	got := measure(func(context.Context) (string, error) {
		sinkhole.Store(new([64]byte))
		time.Sleep(time.Millisecond)
		return sku, nil
	}, 4, 100*time.Millisecond)
	if got.calls < 40 || got.errs != 0 {
		t.Errorf("%d calls, %d errors", got.calls, got.errs)
	}
	if got.wall < 0.2e6 || got.wall > 1e6 {
		t.Errorf("%v ns per call of 4 callers that take 1 ms each, want about 0.27 ms", got.wall)
	}
	if got.allocs < 1 || got.allocs > 12 {
		t.Errorf("%v allocations per call, want a few: one, and those of the deadline", got.allocs)
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.25: 1.75} {
		if got := quantile(v, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if !slices.Equal(v, []float64{4, 1, 3, 2}) {
		t.Error("it sorted its argument")
	}
}

// The sidecars are worth a number only if the calls go through them, and to the
// server that the library calls.
func TestSidecars(t *testing.T) {
	if testing.Short() || consulBinary() == "" {
		t.Skip("needs a Consul, and half a minute")
	}
	h := newHere(t)
	rows, without, err := compareSidecars(h.fleet, settings{pairs: 1, slice: 50 * time.Millisecond}, nil)
	if err != nil || without != "" {
		t.Fatal(err, without)
	}
	if h.calls[0].Load() == 0 || h.calls[1].Load() > 0 || h.calls[2].Load() > 0 {
		t.Errorf("calls %d, %d and %d, want all at the first server", h.calls[0].Load(), h.calls[1].Load(), h.calls[2].Load())
	}
	for _, v := range rows {
		if v.sidecars[0].perSecond <= 0 || v.sidecars[0].p50 <= 0 || v.throughput[0] <= 0 {
			t.Errorf("%d callers: %+v", v.callers, v)
		}
	}
}

func TestNoConsulNoSidecars(t *testing.T) {
	t.Setenv("KITMESH_CONSUL", "/nowhere")
	t.Chdir(t.TempDir())
	if addrs, err := serveSidecars("127.0.0.1:1", new(closers)); err != nil || addrs[skipped] == "" {
		t.Errorf("%v, %v, want a sentence", addrs, err)
	}
}

// One short run of the whole: other programs read its last lines.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	fleet, err := startFleet()
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.stop()
	s := settings{pairs: 1, slice: 20 * time.Millisecond, markdown: filepath.Join(t.TempDir(), "b.md"), note: "A test."}
	f, err := line(fleet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	r := report{settings: s, begun: time.Now(), without: "a test"}
	if r.rows, err = compare(f, s, nil); err != nil {
		t.Fatal(err)
	}
	if r.sizes, err = measureSizes(s); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kitmesh_client", "kitmesh_both_1pct", "kitmesh_both_100pct", "gokit_client", "gokit_both", "kratos_client", "gozero_client"} {
		if !strings.Contains(out.String(), "\nbench: "+name+" ") || !strings.Contains(out.String(), "\nbench: "+name+"_allocs ") {
			t.Errorf("no line for %s", name)
		}
	}
	if !strings.Contains(out.String(), "\nbench: pick_10000_over_3 ") || !strings.Contains(out.String(), "\nbench: instance_bytes ") {
		t.Error("no lines for the sizes")
	}
	if page, err := os.ReadFile(s.markdown); err != nil || !strings.Contains(string(page), "A test.") {
		t.Errorf("the Markdown file: %v", err)
	}
}
