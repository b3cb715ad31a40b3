package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/prometheus/client_golang/prometheus"
)

// flushFor bounds how long Close tries to deliver what is left.
const flushFor = 2 * time.Second

// Why spans are dropped: the reason label of kitmesh_spans_dropped_total.
const (
	droppedFull        = "queue_full"  // Zipkin takes fewer than we make, or none
	droppedUnreachable = "unreachable" // no answer, 429 or 5xx, twice
	droppedRejected    = "rejected"    // any other answer than 2xx
	droppedClosed      = "closed"      // after, or left over at, Close
)

// ReporterOptions configures a Reporter. The zero value is usable.
type ReporterOptions struct {
	Registerer prometheus.Registerer // for the counters; nil: unregistered
	Logger     *slog.Logger          // one line when Zipkin goes and one when it comes; nil: silent
	Queue      int                   // spans waiting at most; 2048 if 0
	BatchBytes int                   // of a request body, about; 512 KiB if 0
	Interval   time.Duration         // between requests at a low rate; 500 ms if 0
	Timeout    time.Duration         // of a request; 2 s if 0
	MaxBackOff time.Duration         // between requests while Zipkin fails; 5 s if 0
	Gzip       bool                  // for a Zipkin that is far away
}

func (o ReporterOptions) withDefaults() ReporterOptions {
	if o.Queue <= 0 {
		o.Queue = 2048
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 512 << 10
	}
	for d, otherwise := range map[*time.Duration]time.Duration{
		&o.Interval: 500 * time.Millisecond, &o.Timeout: 2 * time.Second, &o.MaxBackOff: 5 * time.Second,
	} {
		if *d <= 0 {
			*d = otherwise
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Reporter sends spans to Zipkin (POST /api/v2/spans, JSON) from a goroutine
// of its own. Whatever Zipkin does, Send returns at once, memory stays within
// the queue, and what is dropped is counted. Close it to flush.
type Reporter struct {
	options ReporterOptions
	url     string
	client  *http.Client
	sent    prometheus.Counter
	dropped map[string]prometheus.Counter // by reason; only read after it was made

	mu     sync.Mutex // guards queue and closed
	queue  []*model.SpanModel
	closed bool

	full    chan struct{} // wakes the loop early; capacity 1
	closing chan struct{}
	done    chan struct{}
	ctx     context.Context // of all requests; ends when Close has waited enough
	cancel  context.CancelFunc

	// The loop's own.
	spare  []*model.SpanModel // the queue's other buffer
	body   []byte
	failed int // requests in a row
}

// NewReporter returns a Reporter that sends to Zipkin's address, such as
// http://127.0.0.1:9411; a path replaces /api/v2/spans.
func NewReporter(address string, o ReporterOptions) (*Reporter, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("zipkin address %q is no URL: use one such as http://127.0.0.1:9411", address)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/api/v2/spans"
	}
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reporter{
		options: o,
		url:     u.String(),
		client:  &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second}},
		dropped: make(map[string]prometheus.Counter),
		full:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		ctx:     ctx,
		cancel:  cancel,
	}
	r.sent, r.dropped = spanCounters(o.Registerer)
	go r.loop()
	return r, nil
}

func spanCounters(reg prometheus.Registerer) (prometheus.Counter, map[string]prometheus.Counter) {
	sent := register(reg, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kitmesh_spans_sent_total", Help: "Spans that Zipkin accepted."}))
	vec := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kitmesh_spans_dropped_total", Help: "Spans that never reached Zipkin."}, []string{"reason"}))
	dropped := make(map[string]prometheus.Counter)
	for _, reason := range []string{droppedFull, droppedUnreachable, droppedRejected, droppedClosed} {
		dropped[reason] = vec.WithLabelValues(reason)
	}
	return sent, dropped
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](reg.Register(c)); ok {
		if existing, ok := are.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

// Send queues a span. It never waits. Any time is safe, even after Close; a
// nil Reporter takes and forgets it.
func (r *Reporter) Send(s model.SpanModel) {
	if r == nil {
		return
	}
	// The span keeps its map. Whoever tags it after its end must not write
	// into what we are about to read: that is fatal, not just wrong.
	s.Tags = maps.Clone(s.Tags)
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		r.dropped[droppedClosed].Inc()
		return
	case len(r.queue) >= r.options.Queue:
		r.mu.Unlock()
		r.dropped[droppedFull].Inc()
		return
	}
	r.queue = append(r.queue, &s)
	wake := len(r.queue) == (r.options.Queue+1)/2
	r.mu.Unlock()
	if wake {
		select {
		case r.full <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Close flushes for at most 2 s and ends the Reporter; what it cannot deliver
// is counted as dropped. Calling it again waits for the same end.
func (r *Reporter) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		limit := time.AfterFunc(flushFor, r.cancel)
		defer limit.Stop()
		close(r.closing)
	}
	<-r.done
	return nil
}

func (r *Reporter) loop() {
	defer close(r.done)
	defer r.client.CloseIdleConnections()
	defer r.cancel()
	timer := time.NewTimer(r.options.Interval)
	defer timer.Stop()
	for {
		early := r.full
		if r.failed > 0 {
			early = nil // a full queue is no reason to press a sick Zipkin
		}
		select {
		case <-r.closing:
			r.flush()
			return
		case <-early:
		case <-timer.C:
		}
		r.flush()
		timer.Reset(r.pauseFor())
	}
}

// pauseFor is the interval while all is well, and grows while it is not.
func (r *Reporter) pauseFor() time.Duration {
	if r.failed == 0 {
		return r.options.Interval
	}
	d := min(r.options.Interval<<min(r.failed, 16), r.options.MaxBackOff)
	return d/2 + rand.N(d/2+1)
}

// flush sends everything queued, in requests of bounded size. After a request
// that failed twice the rest goes back to the front of the queue.
func (r *Reporter) flush() {
	r.mu.Lock()
	batch := r.queue
	r.queue = r.spare[:0]
	r.mu.Unlock()
	rest := batch
	for len(rest) > 0 {
		n := r.encode(rest)
		reason, err := r.deliver()
		if err != nil {
			r.dropped[reason].Add(float64(n))
		} else {
			r.sent.Add(float64(n))
		}
		rest = rest[n:]
		r.note(reason, err)
		if err != nil && reason == droppedUnreachable {
			break
		}
	}
	r.putBack(rest)
	clear(batch)
	r.spare = batch[:0]
}

// putBack returns unsent spans to the queue, oldest first, and drops what does
// not fit any more.
func (r *Reporter) putBack(rest []*model.SpanModel) {
	if len(rest) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.dropped[droppedClosed].Add(float64(len(rest) + len(r.queue)))
		r.queue = nil
		return
	}
	all := append(append(make([]*model.SpanModel, 0, r.options.Queue), rest...), r.queue...)
	if over := len(all) - r.options.Queue; over > 0 {
		r.dropped[droppedFull].Add(float64(over))
		all = all[over:]
	}
	r.queue = all
}

// encode writes as many spans as a body takes, at least one, and says how many.
func (r *Reporter) encode(spans []*model.SpanModel) int {
	b := append(r.body[:0], '[')
	n := 0
	for _, s := range spans {
		if n > 0 {
			if len(b) >= r.options.BatchBytes {
				break
			}
			b = append(b, ',')
		}
		b = appendSpan(b, s)
		n++
	}
	r.body = append(b, ']')
	return n
}

// deliver posts the body, twice if Zipkin is there but not well, and gives the
// reason for dropping it if that did not help.
func (r *Reporter) deliver() (reason string, err error) {
	body := r.body
	if r.options.Gzip {
		if body, err = zipped(body); err != nil {
			return droppedRejected, err
		}
	}
	for try := 1; ; try++ {
		status, err := r.post(body)
		switch {
		case err == nil && status >= 200 && status < 300:
			return "", nil
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return droppedRejected, fmt.Errorf("zipkin answered %d", status)
		case err == nil:
			err = fmt.Errorf("zipkin answered %d", status)
		}
		// While it is known to be down, one try each time is enough.
		if try == 2 || r.failed > 0 || !r.wait(r.options.Interval/4) {
			return droppedUnreachable, err
		}
	}
}

// wait pauses for d, and is false when the Reporter is closing.
func (r *Reporter) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.closing:
		return false
	}
}

func (r *Reporter) post(body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.options.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("b3", "0") // nobody on the way shall trace the traces
	if r.options.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	return resp.StatusCode, nil
}

// note keeps the count of failures and logs when it leaves or reaches 0.
func (r *Reporter) note(reason string, err error) {
	if err == nil {
		if r.failed > 0 {
			r.options.Logger.Info("zipkin takes spans again", "url", r.url)
		}
		r.failed = 0
		return
	}
	if r.failed == 0 {
		r.options.Logger.Warn("zipkin does not take spans; they are dropped until it does", "url", r.url, "reason", reason, "error", err)
	}
	r.failed++
}

func zipped(body []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
