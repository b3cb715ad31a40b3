package telemetry

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The stock reporter's Send after Close hangs for ever, as its test shows.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/openzipkin/zipkin-go/reporter/http.(*httpReporter).Send"))
}

// quiet keeps the stock reporter's log out of ours.
var quiet = zipkinhttp.Logger(log.New(io.Discard, "", 0))

func TestReporterDelivers(t *testing.T) {
	for _, zip := range []bool{false, true} {
		c := newCollector(t, nil)
		r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond, Gzip: zip})
		for i := range 100 {
			r.Send(span(i))
		}
		eventually(t, "all arrive without Close", func() bool { return c.got() == 100 })
		r.Send(span(100))
		_ = r.Close()
		accounted(t, r, c, 101)
		if c.got() != 101 {
			t.Errorf("Close flushed %d", c.got())
		}
	}
}

func TestReporterBodiesAreBounded(t *testing.T) {
	c := newCollector(t, nil)
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Hour, BatchBytes: 4 << 10})
	for i := range 500 {
		r.Send(span(i))
	}
	_ = r.Close()
	accounted(t, r, c, 500)
	if c.got() != 500 || c.largest.Load() > 5<<10 || c.requests.Load() < 10 {
		t.Errorf("%d spans in %d requests of up to %d bytes", c.got(), c.requests.Load(), c.largest.Load())
	}
}

// Nothing that was not in the slow request may be lost with it.
func TestReporterSlowCollector(t *testing.T) {
	slow := func() (func(int64, *http.Request) int, chan struct{}, chan struct{}) {
		first, release := make(chan struct{}), make(chan struct{})
		return func(n int64, _ *http.Request) int {
			if n == 1 {
				close(first)
				<-release
			}
			return http.StatusAccepted
		}, first, release
	}
	answer, first, release := slow()
	c := newCollector(t, answer)
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond, Queue: 1000, Timeout: time.Minute})
	r.Send(span(0))
	<-first
	for i := range 1300 {
		r.Send(span(i)) // returns, though nobody takes them
	}
	if r.count(droppedFull) != 300 {
		t.Errorf("%d dropped for a full queue, want 300", r.count(droppedFull))
	}
	close(release)
	_ = r.Close()
	accounted(t, r, c, 1301)
	if c.got() != 1001 {
		t.Errorf("%d arrived, want 1001", c.got())
	}
	t.Run("stock", func(t *testing.T) {
		answer, first, release := slow()
		c := newCollector(t, answer)
		r := zipkinhttp.NewReporter(c.URL+"/api/v2/spans", zipkinhttp.BatchSize(1000), zipkinhttp.MaxBacklog(1000),
			zipkinhttp.BatchInterval(time.Hour), zipkinhttp.Timeout(time.Minute), quiet)
		for i := range 1000 {
			r.Send(span(i))
		}
		<-first
		for i := range 300 {
			r.Send(span(i)) // push the first 300 out of the batch that is under way
		}
		r.Send(span(0)) // the loop has taken the one before
		close(release)
		_ = r.Close()
		if c.got() >= 1300 {
			t.Errorf("the stock reporter lost none of 1301: %d", c.got())
		}
	})
}

func TestReporterRetriesOnce(t *testing.T) {
	flaky := func(n int64, _ *http.Request) int {
		if n == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	}
	c := newCollector(t, flaky)
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond})
	r.Send(span(0))
	eventually(t, "the second try arrives", func() bool { return c.got() == 1 })
	_ = r.Close()
	accounted(t, r, c, 1)
	t.Run("stock", func(t *testing.T) {
		c := newCollector(t, flaky)
		r := zipkinhttp.NewReporter(c.URL+"/api/v2/spans", zipkinhttp.BatchInterval(10*time.Millisecond), quiet)
		r.Send(span(0))
		eventually(t, "it is sent", func() bool { return c.requests.Load() > 0 })
		_ = r.Close()
		if c.got() != 0 {
			t.Error("the stock reporter tries again after a 503")
		}
	})
}

func TestReporterRejected(t *testing.T) {
	c := newCollector(t, func(int64, *http.Request) int { return http.StatusBadRequest })
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond})
	r.Send(span(0))
	eventually(t, "it is dropped", func() bool { return r.count(droppedRejected) == 1 })
	_ = r.Close()
	if c.requests.Load() != 1 {
		t.Errorf("%d requests: what is refused is refused", c.requests.Load())
	}
	accounted(t, r, c, 1)
}

// A dead Zipkin costs a bounded queue and few requests, and is used again soon
// after it is back.
func TestReporterDeadCollector(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	c := newCollector(t, func(int64, *http.Request) int {
		if down.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusAccepted
	})
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond, Queue: 50, BatchBytes: 1000, MaxBackOff: 50 * time.Millisecond})
	for i := range 2000 {
		r.Send(span(i))
	}
	eventually(t, "it notices", func() bool { return r.count(droppedUnreachable) > 0 && r.count(droppedFull) > 0 })
	r.mu.Lock()
	waiting := len(r.queue)
	r.mu.Unlock()
	if waiting > 50 {
		t.Errorf("%d spans wait, the bound is 50", waiting)
	}
	down.Store(false)
	r.Send(span(0))
	eventually(t, "spans arrive again", func() bool { return c.got() > 0 })
	_ = r.Close()
	accounted(t, r, c, 2001)
}

// While Zipkin fails requests become rare, however many spans there are.
func TestReporterBacksOff(t *testing.T) {
	c := newCollector(t, func(int64, *http.Request) int { return http.StatusInternalServerError })
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Millisecond, Queue: 20, MaxBackOff: time.Hour})
	eventually(t, "it fails for the tenth time", func() bool {
		r.Send(span(0))
		return c.requests.Load() >= 10 // the next is due in a quarter of a second at least
	})
	before := c.requests.Load()
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		r.Send(span(0)) // more than the queue takes
		time.Sleep(10 * time.Microsecond)
	}
	if n := c.requests.Load() - before; n > 3 { // two would be a slow machine, a full queue each time dozens
		t.Errorf("%d requests to a collector that is known to fail", n)
	}
}

func TestReporterCloseIsBounded(t *testing.T) {
	hang := make(chan struct{})
	c := newCollector(t, func(_ int64, r *http.Request) int { <-hang; return http.StatusAccepted })
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Hour, Timeout: time.Minute})
	r.Send(span(0))
	began := time.Now()
	var both sync.WaitGroup
	both.Go(func() { _ = r.Close() })
	_ = r.Close()
	both.Wait()
	if took := time.Since(began); took > flushFor+time.Second {
		t.Errorf("Close took %v", took)
	}
	close(hang)
	accounted(t, r, nil, 1)
}

func TestReporterNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	r := newReporter(t, s.URL, ReporterOptions{Interval: time.Hour})
	for i := range 10 {
		r.Send(span(i))
	}
	began := time.Now()
	_ = r.Close()
	if took := time.Since(began); took > flushFor {
		t.Errorf("Close took %v", took)
	}
	accounted(t, r, nil, 10)
}

func TestReporterSendAfterClose(t *testing.T) {
	c := newCollector(t, nil)
	r := newReporter(t, c.URL, ReporterOptions{})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				r.Send(span(g*500 + i))
			}
		})
	}
	_ = r.Close()
	all.Wait()
	r.Send(span(0))
	accounted(t, r, c, 2001)
	if r.count(droppedClosed) == 0 {
		t.Error("Send after Close counts nothing")
	}
	t.Run("stock", func(t *testing.T) {
		stock := zipkinhttp.NewReporter(c.URL + "/api/v2/spans")
		_ = stock.Close()
		sent := make(chan struct{})
		go func() { stock.Send(span(0)); close(sent) }()
		select {
		case <-sent:
			t.Error("the stock Send returns after Close: no trap any more")
		case <-time.After(50 * time.Millisecond):
		}
	})
}

// Tagging a span that has ended must not reach what the reporter reads: in the
// stock reporter that is a fatal concurrent map write.
func TestReporterTagAfterFinish(t *testing.T) {
	c := newCollector(t, nil)
	r := newReporter(t, c.URL, ReporterOptions{Interval: time.Microsecond})
	tracer, err := NewTracer("a", "a-1", "127.0.0.1:1", r, Sampling{Share: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		s := tracer.StartSpan("x")
		s.Tag("in", "time")
		s.Finish()
		for j := range 20 {
			s.Tag(fmt.Sprint(j), "late")
		}
	}
	_ = r.Close()
	accounted(t, r, c, 300)
	for _, s := range c.spans {
		if len(s.Tags) != 2 {
			t.Fatalf("late tags arrived: %v", s.Tags)
		}
	}
	t.Run("stock", func(t *testing.T) {
		kept := new(keeper)
		tracer, err := zipkin.NewTracer(kept)
		if err != nil {
			t.Fatal(err)
		}
		s := tracer.StartSpan("x")
		s.Finish()
		s.Tag("late", "x")
		if len(kept.last.Tags) != 1 { // the same map, now in the reporter's hands
			t.Error("zipkin-go hands out a copy of the tags now")
		}
	})
}

type keeper struct{ last model.SpanModel }

func (k *keeper) Send(s model.SpanModel) { k.last = s }
func (k *keeper) Close() error           { return nil }

func TestReporterNil(t *testing.T) {
	var off *Reporter
	off.Send(span(0))
	if err := off.Close(); err != nil {
		t.Error(err)
	}
}

func TestReporterAddress(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:9411", "zipkin", "ftp://zipkin", "http://", "http://%"} {
		if r, err := NewReporter(bad, ReporterOptions{}); err == nil {
			t.Errorf("%q is taken", bad)
			_ = r.Close()
		} else if !strings.Contains(err.Error(), "http://127.0.0.1:9411") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReporterCounters(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := newCollector(t, nil)
	r := newReporter(t, c.URL, ReporterOptions{Registerer: reg})
	r.Send(span(0))
	_ = r.Close()
	r.Send(span(0))
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kitmesh_spans_dropped_total Spans that never reached Zipkin.
# TYPE kitmesh_spans_dropped_total counter
kitmesh_spans_dropped_total{reason="closed"} 1
kitmesh_spans_dropped_total{reason="queue_full"} 0
kitmesh_spans_dropped_total{reason="rejected"} 0
kitmesh_spans_dropped_total{reason="unreachable"} 0
# HELP kitmesh_spans_sent_total Spans that Zipkin accepted.
# TYPE kitmesh_spans_sent_total counter
kitmesh_spans_sent_total 1
`)); err != nil {
		t.Error(err)
	}
}

func BenchmarkReporterSend(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	r, err := NewReporter(s.URL, ReporterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	one := span(1)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r.Send(one)
		}
	})
}
