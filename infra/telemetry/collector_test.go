package telemetry

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// collector is a Zipkin for tests.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []model.SpanModel
	requests atomic.Int64
	largest  atomic.Int64
	// answer may do what it likes before the spans are taken; a status other
	// than 202 refuses them. nil: takes all.
	answer func(n int64, r *http.Request) int
}

func newCollector(t *testing.T, answer func(n int64, r *http.Request) int) *collector {
	t.Helper()
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	n := c.requests.Add(1)
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "Cannot gunzip spans", http.StatusBadRequest)
			return
		}
		body = z
	}
	data, err := io.ReadAll(body)
	var spans []model.SpanModel
	if err == nil {
		err = json.Unmarshal(data, &spans)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v2/spans" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, fmt.Sprint("bad request: ", err), http.StatusBadRequest)
		return
	}
	c.largest.Store(max(c.largest.Load(), int64(len(data))))
	status := http.StatusAccepted
	if c.answer != nil {
		status = c.answer(n, r)
	}
	if status == http.StatusAccepted {
		c.mu.Lock()
		c.spans = append(c.spans, spans...)
		c.mu.Unlock()
	}
	w.WriteHeader(status)
}

func (c *collector) got() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

func newReporter(t *testing.T, url string, o ReporterOptions) *Reporter {
	t.Helper()
	r, err := NewReporter(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func span(i int) model.SpanModel {
	return model.SpanModel{
		SpanContext: model.SpanContext{TraceID: model.TraceID{Low: uint64(i) + 1}, ID: model.ID(i + 1)},
		Name:        "x", Timestamp: time.Now(), Duration: time.Millisecond, Tags: map[string]string{"a": "b"},
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (r *Reporter) count(reason string) int { return int(testutil.ToFloat64(r.dropped[reason])) }

// accounted fails unless every span was either sent or counted as dropped.
func accounted(t *testing.T, r *Reporter, c *collector, n int) {
	t.Helper()
	sent, dropped := int(testutil.ToFloat64(r.sent)), 0
	for reason := range r.dropped {
		dropped += r.count(reason)
	}
	if sent+dropped != n || c != nil && c.got() != sent {
		t.Errorf("of %d spans %d count as sent, %d as dropped", n, sent, dropped)
	}
}
