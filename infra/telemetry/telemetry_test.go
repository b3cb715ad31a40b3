package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware"
)

func TestLogger(t *testing.T) {
	ctx := middleware.WithRemote(t.Context(), model.SpanContext{TraceID: model.TraceID{High: 1, Low: 2}, ID: 3})
	const id = "00000000000000010000000000000002"
	for _, tt := range []struct {
		level, format, want, not string
	}{
		{"info", "logfmt", "level=INFO msg=hello a=1 trace_id=" + id, "DEBUG"},
		{"INFO", "json", `"msg":"hello","a":1,"trace_id":"` + id + `"`, "DEBUG"},
		{"debug", "logfmt", "level=DEBUG msg=detail", "xyz"},
		{"error", "logfmt", "", "hello"},
		{"warn", "json", "", "hello"},
	} {
		var out bytes.Buffer
		l, err := NewLogger(&out, tt.level, tt.format)
		if err != nil {
			t.Fatal(err)
		}
		l.DebugContext(ctx, "detail")
		l.With("a", 1).InfoContext(ctx, "hello")
		if !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), tt.not) {
			t.Errorf("%s %s: %s", tt.level, tt.format, out.String())
		}
	}
	var out bytes.Buffer
	l, err := NewLogger(&out, "info", "logfmt")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("start")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("a trace from nowhere: %s", out.String())
	}
	for _, bad := range [][2]string{{"verbose", "json"}, {"", "json"}, {"info", "xml"}} {
		if _, err := NewLogger(io.Discard, bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSampler(t *testing.T) {
	const n = 200_000
	for _, rate := range []float64{0, 0.00001, 0.01, 0.125, 0.5, 0.999, 1} {
		for name, id := range map[string]func(i uint64) uint64{
			"counter": func(i uint64) uint64 { return i },
			"low":     func(i uint64) uint64 { return i << 40 },
			"random":  func(uint64) uint64 { return nonZero() },
		} {
			keep, err := NewSampler(Sampling{Share: rate})
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			for i := range uint64(n) {
				if keep(id(i + 1)) {
					kept++
				}
			}
			want := rate * n
			if d := float64(kept) - want; d*d > 36*want*(1-rate)+1e-9 && (d > 6 || d < -6) {
				t.Errorf("rate %v of %s ids: kept %d of %d", rate, name, kept, n)
			}
		}
	}
	nan := 0.0
	for _, bad := range []float64{-0.1, 1.1, nan / nan} {
		if _, err := NewSampler(Sampling{Share: bad}); err == nil {
			t.Errorf("rate %v is taken", bad)
		}
	}
	t.Run("stock", func(t *testing.T) {
		if _, err := zipkin.NewBoundarySampler(0.00001, 0); err == nil {
			t.Error("zipkin-go takes small rates now")
		}
		if _, err := zipkin.NewCountingSampler(0.001); err == nil {
			t.Error("zipkin-go takes small rates now")
		}
	})
}

func TestTracer(t *testing.T) {
	kept := new(keeper)
	tracer, err := NewTracer("catalog", "catalog-1", "[::1]:8080", kept, Sampling{Share: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := tracer.StartSpan("x")
	s.Finish()
	got := kept.last
	if got.TraceID.High == 0 || got.Tags[middleware.TagInstance] != "catalog-1" ||
		got.LocalEndpoint.ServiceName != "catalog" || got.LocalEndpoint.Port != 8080 || got.LocalEndpoint.IPv6 == nil {
		t.Errorf("span %+v at %+v", got, got.LocalEndpoint)
	}
	// Without Zipkin traces have ids all the same.
	off, err := NewTracer("catalog", "catalog-1", "127.0.0.1:1", nil, Sampling{Share: 1})
	if err != nil {
		t.Fatal(err)
	}
	span, ctx := off.StartSpanFromContext(t.Context(), "x")
	if len(middleware.TraceID(ctx)) != 32 || !zipkin.IsNoop(span) {
		t.Errorf("trace id %q", middleware.TraceID(ctx))
	}
	if _, err := NewTracer("a", "a-1", "", kept, Sampling{Share: 2}); err == nil {
		t.Error("a rate of 2 is taken")
	}
}

func TestEncodeLikeZipkin(t *testing.T) {
	at := time.UnixMicro(1_700_000_000_123_456)
	for name, s := range map[string]model.SpanModel{
		"full": {
			SpanContext: model.SpanContext{TraceID: model.TraceID{High: 1, Low: 2}, ID: 3, ParentID: new(model.ID(4)), Debug: true},
			Name:        "Orders.Place", Kind: model.Server, Timestamp: at, Duration: 1500 * time.Microsecond, Shared: true,
			LocalEndpoint:  &model.Endpoint{ServiceName: "Orders", IPv4: []byte{127, 0, 0, 1}, Port: 80},
			RemoteEndpoint: &model.Endpoint{IPv6: []byte{15: 1}},
			Annotations:    []model.Annotation{{Timestamp: at, Value: "a"}, {Timestamp: at, Value: "b"}},
			Tags:           map[string]string{"error": "it said \"no\"\n", "ключ": "<&>\u2028", "c": "\x00"},
		},
		"least":     {SpanContext: model.SpanContext{TraceID: model.TraceID{Low: 2}, ID: 3}},
		"no ports":  {SpanContext: model.SpanContext{TraceID: model.TraceID{Low: 2}, ID: 3}, LocalEndpoint: &model.Endpoint{}, RemoteEndpoint: &model.Endpoint{ServiceName: "x"}},
		"short one": {SpanContext: model.SpanContext{TraceID: model.TraceID{Low: 2}, ID: 3}, Timestamp: at, Duration: 1},
	} {
		ours := appendSpan(nil, &s)
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Fatalf("%s: %v in %s", name, err, ours)
		}
		if err := json.Unmarshal(theirs, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\n%s, zipkin-go:\n%s", name, ours, theirs)
		}
	}
	// What zipkin-go refuses, and would lose a batch for, is repaired.
	odd := model.SpanModel{SpanContext: model.SpanContext{TraceID: model.TraceID{Low: 2}, ID: 3, ParentID: new(model.ID(3))},
		Timestamp: time.Unix(-5, 0), Duration: -1, Name: "\xff"}
	if _, err := json.Marshal(odd); err == nil {
		t.Error("zipkin-go takes it now")
	}
	var back model.SpanModel
	if err := json.Unmarshal(appendSpan(nil, &odd), &back); err != nil || back.ID != 3 || back.ParentID != nil {
		t.Errorf("%+v, %v", back, err)
	}
}

func BenchmarkEncode(b *testing.B) {
	s := span(1)
	s.LocalEndpoint = &model.Endpoint{ServiceName: "orders", IPv4: []byte{127, 0, 0, 1}, Port: 80}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = appendSpan(buf[:0], &s)
		}
	})
	b.Run("stock", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = json.Marshal(s)
		}
	})
}

func TestHealth(t *testing.T) {
	var h Health
	want := func(sentence, failure string) {
		t.Helper()
		got, err := h.Summary(t.Context())
		if got != sentence || err == nil && failure != "" || err != nil && err.Error() != failure {
			t.Errorf("summary %q, %v, want %q, %q", got, err, sentence, failure)
		}
	}
	want("ready", "")
	h.Report("replay", "", errors.New("at 10 of 99"))
	want("", "replay: at 10 of 99")
	h.Add("broker", func(context.Context) (string, error) { return "connected", nil })
	want("", "replay: at 10 of 99")
	h.Report("replay", "caught up", nil)
	want("replay: caught up; broker: connected", "")
	h.Add("broker", func(context.Context) (string, error) { panic("oops") })
	want("", "broker: the check panicked: oops")
	h.Add("broker", func(context.Context) (string, error) { return "", errors.New("gone") })
	h.Report("drain", "", errors.New("draining"))
	want("", "broker: gone; drain: draining")
}

// A check that hangs fails, costs one goroutine however often it is asked for,
// and the others still answer.
func TestHealthHungCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Health
		block, asked := make(chan struct{}), 0
		h.Add("broker", func(context.Context) (string, error) { asked++; <-block; return "connected", nil })
		h.Add("disk", func(context.Context) (string, error) { return "", errors.New("full") })
		for i := range 3 {
			began := time.Now()
			_, err := h.Summary(t.Context())
			if took := time.Since(began); took != checkFor {
				t.Errorf("took %v", took)
			}
			want := "broker: no answer for " + (time.Duration(i+1) * checkFor).String() + "; disk: full"
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		close(block)
		synctest.Wait()
		h.Add("disk", func(context.Context) (string, error) { return "fine", nil })
		if got, err := h.Summary(t.Context()); err != nil || got != "broker: connected; disk: fine" || asked != 2 {
			t.Errorf("%q, %v after %d checks", got, err, asked)
		}
	})
}

func TestAdmin(t *testing.T) {
	var h Health
	h.Report("replay", "", errors.New("at 10 of 99"))
	a := NewAdmin(AdminOptions{Registry: NewRegistry(), Ready: h.Summary})
	a.Handle("/faults", http.NotFoundHandler())
	get := func(path, accept string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct {
		path, accept string
		status       int
		part         string
	}{
		{"/", "", 200, "/readyz"},
		{"/", "", 200, "/faults"},
		{"/metrics", "", 200, "go_goroutines"},
		{"/healthz", "", 200, "alive"},
		{"/readyz", "", 503, "replay: at 10 of 99"},
		{"/readyz", "application/json", 503, `{"ok":false,"status":"replay: at 10 of 99"}`},
		{"/healthz", "application/json", 200, `{"ok":true,"status":"alive"}`},
		{"/debug/pprof/", "", 200, "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "", 200, "TestAdmin"},
		{"/debug/pprof/cmdline", "", 200, ""},
		{"/nowhere", "", 404, ""},
	} {
		if status, body := get(tt.path, tt.accept); status != tt.status || !strings.Contains(body, tt.part) {
			t.Errorf("%s: %d %.200s, want %d %s", tt.path, status, body, tt.status, tt.part)
		}
	}
	h.Report("replay", "caught up", nil)
	if status, body := get("/readyz", ""); status != 200 || body != "replay: caught up\n" {
		t.Errorf("%d %q", status, body)
	}
}

// serve runs a server and returns its URL, how to end it and its result.
func serve(t *testing.T, h http.Handler, drain time.Duration) (string, *Server, context.CancelFunc, chan error) {
	t.Helper()
	s, err := NewServer("127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	s.Drain, s.Logger = drain, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	result := make(chan error, 1)
	return "http://" + s.Addr(), s, cancel, func() chan error { go func() { result <- s.Run(ctx) }(); return result }()
}

func TestServerDrains(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	url, _, end, result := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "done")
	}), 0)
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-began
	end()
	select {
	case err := <-result:
		t.Fatalf("ended under a request: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServerCutsWhatDoesNotEnd(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	url, _, end, result := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(gone)
	}), 20*time.Millisecond)
	go func() {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	end()
	<-gone
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestServerEndsStreamsAtOnce(t *testing.T) {
	stream := middleware.NewHystrixStream()
	url, s, end, result := serve(t, stream, time.Minute)
	s.OnShutdown(stream.Close)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	end()
	select {
	case err := <-result:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream kept the server")
	}
}

func TestServerAddress(t *testing.T) {
	s, err := NewServer("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewServer(s.Addr(), nil); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("a taken port: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSamplerBoundsTracesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sample, err := NewSampler(Sampling{Share: 1, PerSecond: 10})
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for range 1000 { // ten seconds at 100 a second
			if sample(rand.Uint64()) {
				kept++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if kept < 100 || kept > 110 {
			t.Errorf("%d of 1000 traces kept in 10 s, want 10 a second", kept)
		}
	})
	if _, err := NewSampler(Sampling{Share: 1, PerSecond: math.NaN()}); err == nil {
		t.Error("NaN traces per second are accepted")
	}
}
