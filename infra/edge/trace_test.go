package edge

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/reporter"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

type span struct {
	TraceID       string            `json:"traceId"`
	ID            string            `json:"id"`
	ParentID      string            `json:"parentId"`
	Name          string            `json:"name"`
	Kind          string            `json:"kind"`
	Tags          map[string]string `json:"tags"`
	LocalEndpoint struct {
		ServiceName string `json:"serviceName"`
	} `json:"localEndpoint"`
	RemoteEndpoint struct {
		ServiceName string `json:"serviceName"`
		Port        int    `json:"port"`
	} `json:"remoteEndpoint"`
}

// collector is a Zipkin that keeps spans.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []span
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch []span
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Errorf("spans: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.spans = append(c.spans, batch...)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(c.Close)
	return c
}

// traced runs one request over an edge that reports, and returns its spans.
func traced(t *testing.T, gateways []*gateway, do func(*Edge)) []span {
	t.Helper()
	c := newCollector(t)
	var instances []discovery.Instance
	for _, g := range gateways {
		instances = append(instances, g.instance())
	}
	e, err := New(Options{Addr: "127.0.0.1:0", Source: discovery.NewStatic(instances...), Zipkin: c.URL, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	do(e)
	stop()
	<-ended
	e.Close() // flushes
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans
}

func TestSpansOfARetriedRequest(t *testing.T) {
	dying, alive := newGateway(t, "dying"), newGateway(t, "alive")
	dying.set(cut(true, ""))
	var got answer
	spans := traced(t, []*gateway{dying, alive}, func(e *Edge) {
		for got.Response == nil || got.Header.Get(TriesHeader) != "2" {
			got = ask(t, e, "GET", "/v1/products/cup-1", "")
		}
	})
	var server span
	clients := map[string]span{}
	for _, s := range spans {
		if s.TraceID != got.Header.Get(TraceHeader) {
			continue
		}
		if s.Kind == "SERVER" {
			server = s
		} else {
			clients[s.Tags["try"]] = s
		}
	}
	if server.LocalEndpoint.ServiceName != "edge" || server.ParentID != "" || !strings.EqualFold(server.Name, "GET /v1/products") ||
		server.Tags["http.status_code"] != "200" {
		t.Errorf("server span %+v", server)
	}
	if len(clients) != 2 {
		t.Fatalf("client spans %+v", clients)
	}
	for try, s := range clients {
		if s.ParentID != server.ID || s.RemoteEndpoint.ServiceName != "gateway" || s.RemoteEndpoint.Port == 0 || s.Tags["breaker"] == "" {
			t.Errorf("try %s: %+v", try, s)
		}
	}
	if clients["1"].Tags["error"] == "" || clients["1"].Tags["instance"] != "dying" || clients["2"].Tags["error"] != "" {
		t.Errorf("error tags: %+v", clients)
	}
	in := alive.last(t)
	if in.Header.Get("X-B3-Traceid") != server.TraceID || in.Header.Get("X-B3-Spanid") != clients["2"].ID ||
		in.Header.Get("X-B3-Parentspanid") != server.ID || in.Header.Get("X-B3-Sampled") != "1" {
		t.Errorf("B3 to the instance: %v", in.Header)
	}
}

func TestTraceContinuesTheClients(t *testing.T) {
	g := newGateway(t, "g")
	const id = "463ac35c9f6413ad48485a3953bb6124"
	spans := traced(t, []*gateway{g}, func(e *Edge) {
		for _, headers := range [][]string{
			{"B3", id + "-a2fb4a1d1a96d312-1"},
			{"X-B3-TraceId", id, "X-B3-SpanId", "a2fb4a1d1a96d312", "X-B3-Sampled", "1"},
		} {
			if got := ask(t, e, "GET", "/v1/products", "", headers...); got.Header.Get(TraceHeader) != id {
				t.Errorf("%v became trace %s", headers, got.Header.Get(TraceHeader))
			}
			if in := g.last(t); in.Header.Get("B3") != "" || in.Header.Get("X-B3-Traceid") != id || in.Header.Get("X-B3-Spanid") == "a2fb4a1d1a96d312" {
				t.Errorf("B3 to the instance: %v", in.Header)
			}
		}
		if got := ask(t, e, "GET", "/v1/products", "", "X-B3-Sampled", "0"); len(got.Header.Get(TraceHeader)) != 32 {
			t.Errorf("a trace not to be recorded has the id %q", got.Header.Get(TraceHeader))
		}
		if in := g.last(t); in.Header.Get("X-B3-Sampled") != "0" {
			t.Errorf("the wish not to be recorded got lost: %v", in.Header)
		}
	})
	if len(spans) != 4 {
		t.Errorf("%d spans, want 2 of each recorded request", len(spans))
	}
}

func TestWithoutZipkinThereAreStillIDs(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	a, b := ask(t, e, "GET", "/v1/products", ""), ask(t, e, "GET", "/v1/products", "")
	id := b.Header.Get(TraceHeader)
	if len(id) != 32 || id == a.Header.Get(TraceHeader) {
		t.Errorf("ids %q and %q", a.Header.Get(TraceHeader), id)
	}
	if in := g.last(t); in.Header.Get("X-B3-Traceid") != id || in.Header.Get("X-B3-Sampled") != "0" {
		t.Errorf("B3 to the instance: %v", in.Header)
	}
}

var brokenB3 = []string{
	"", "-", "---", "----", "x", "1-", "-1", "0-0", "zz-zz-1", strings.Repeat("a", 40) + "-1-1", strings.Repeat("f", 33),
	"463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-x", strings.Repeat("-", 1000), "+3ac35c9f6413ad4-a2fb4a1d1a96d312",
}

func TestBrokenB3StartsANewTrace(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	for _, value := range brokenB3 {
		for _, name := range []string{"B3", "X-B3-TraceId"} {
			got := ask(t, e, "GET", "/v1/products", "", name, value, "X-B3-SpanId", value)
			if id := got.Header.Get(TraceHeader); got.StatusCode != 200 || len(id) != 32 {
				t.Errorf("%s %q: %d, trace %q", name, value, got.StatusCode, id)
			}
		}
	}
}

// FuzzBegin: whatever the headers and the path, there is a trace id of 16 or 32
// hexadecimal digits, a span name of a few, and no panic.
func FuzzBegin(f *testing.F) {
	for _, value := range brokenB3 {
		f.Add(value, value, "GET", "/v1/"+value)
	}
	rep := reporter.NewNoopReporter()
	tracer, err := zipkin.NewTracer(rep)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, single, multi, method, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL.Path = method, path
		r.Header.Set("B3", single)
		r.Header.Set("X-B3-Traceid", multi)
		r.Header.Set("X-B3-Spanid", multi)
		e, _ := begin(tracer, r)
		if n := len(e.traceID); (n != 16 && n != 32) || strings.Trim(e.traceID, "0123456789abcdef") != "" {
			t.Errorf("trace id %q", e.traceID)
		}
		if len(e.name) > 40 {
			t.Errorf("span name %q", e.name)
		}
		e.end(t.Context(), slog.New(slog.DiscardHandler), 200)
	})
}
