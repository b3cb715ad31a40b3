package zipkin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	zipkingo "github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"go.uber.org/goleak"
)

// serve runs a collector until the test ends, and checks that it then does.
func serve(t *testing.T, o Options) string {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ready := make(chan string, 1)
	go func() { ended <- Serve(ctx, o, func(url string) { ready <- url }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t)
	})
	select {
	case url := <-ready:
		return url
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return ""
}

func fetch(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are answers
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return resp, string(body)
}

// TestZipkinGo: the Go client reports in both of its formats.
func TestZipkinGo(t *testing.T) {
	for name, serializer := range map[string]reporter.SpanSerializer{"json": reporter.JSONSerializer{}, "proto3": zipkin_proto3.SpanSerializer{}} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, Options{})
			rep := zipkinhttp.NewReporter(url+"/api/v2/spans", zipkinhttp.Serializer(serializer), zipkinhttp.Logger(nil))
			endpoint, err := zipkingo.NewEndpoint("orders", "127.0.0.1:8080")
			if err != nil {
				t.Fatal(err)
			}
			tracer, err := zipkingo.NewTracer(rep, zipkingo.WithLocalEndpoint(endpoint), zipkingo.WithTraceID128Bit(true))
			if err != nil {
				t.Fatal(err)
			}
			span := tracer.StartSpan("Orders.Place", zipkingo.Kind(model.Client))
			span.Tag("error", "boom")
			span.Annotate(time.Now(), "sent")
			span.SetRemoteEndpoint(&model.Endpoint{ServiceName: "payments"})
			span.Finish()
			if err := rep.Close(); err != nil {
				t.Fatal(err)
			}
			resp, body := fetch(t, url+"/api/v2/trace/"+span.Context().TraceID.String())
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			for _, want := range []string{`"name":"orders.place"`, `"kind":"CLIENT"`, `"ipv4":"127.0.0.1","port":8080`, `"remoteEndpoint":{"serviceName":"payments"}`, `"error":"boom"`, `"value":"sent"`} {
				if !strings.Contains(body, want) {
					t.Errorf("%s lacks %s", body, want)
				}
			}
		})
	}
}

func TestPage(t *testing.T) {
	url := serve(t, Options{})
	for _, c := range []struct {
		path   string
		status int
		kind   string
	}{
		{"/zipkin/", 200, "text/html; charset=utf-8"}, {"/zipkin/traces/abc", 200, "text/html; charset=utf-8"}, {"/zipkin/dependency", 200, "text/html; charset=utf-8"},
		{"/zipkin/app.js", 200, "text/javascript; charset=utf-8"}, {"/zipkin/style.css", 200, "text/css; charset=utf-8"}, {"/zipkin/icon.svg", 200, "image/svg+xml"},
		{"/zipkin/config.json", 200, "application/json"}, {"/zipkin/nope.js", 404, ""}, {"/zipkin/%2e%2e%2fui.go", 404, ""},
		{"/", 302, ""}, {"/zipkin", 302, ""},
	} {
		resp, _ := fetch(t, url+c.path)
		if resp.StatusCode != c.status || c.kind != "" && resp.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		if c.status == http.StatusFound && resp.Header.Get("Location") != "/zipkin/" {
			t.Errorf("%s leads to %s", c.path, resp.Header.Get("Location"))
		}
	}
	resp, body := fetch(t, url+"/zipkin/")
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "style=") {
		t.Error("the page has inline script or style, which its policy forbids")
	}
	if again, _ := fetch(t, url+"/zipkin/", "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("asked again: %d", again.StatusCode)
	}
}

// TestPageOnAnotherZipkin: the page here, the API there.
func TestPageOnAnotherZipkin(t *testing.T) {
	other := httptest.NewServer(NewAPI(NewStore(Limits{}, nil)))
	defer other.Close()
	url := serve(t, Options{API: other.URL})
	resp, err := http.Post(url+"/api/v2/spans", "application/json", strings.NewReader(`[{"traceId":"1","id":"1"}]`))
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	if resp, body := fetch(t, other.URL+"/api/v2/trace/1"); resp.StatusCode != http.StatusOK {
		t.Errorf("the other one has %s", body)
	}
	if resp, _ := fetch(t, url+"/zipkin/"); resp.StatusCode != http.StatusOK {
		t.Errorf("page: %d", resp.StatusCode)
	}
	other.Close()
	if resp, body := fetch(t, url+"/api/v2/services"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "does not answer") {
		t.Errorf("gone: %d %s", resp.StatusCode, body)
	}
}

// TestTooLarge: bodies are bounded as sent and as inflated.
func TestTooLarge(t *testing.T) {
	api := NewAPI(NewStore(Limits{}, nil))
	for name, body := range map[string][]byte{"as sent": bytes.Repeat([]byte(" "), maxBody+1), "inflated": squeeze(t, maxInflated+1)} {
		req := httptest.NewRequest(http.MethodPost, "/api/v2/spans", bytes.NewReader(body))
		if name == "inflated" {
			req.Header.Set("Content-Encoding", "gzip")
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestCORS(t *testing.T) {
	api := NewAPI(NewStore(Limits{}, nil))
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		req := httptest.NewRequest(method, "/api/v2/services", nil)
		req.Header.Set("Origin", "http://a.test")
		req.Header.Set("Access-Control-Request-Method", "GET")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		if w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

// TestOptions: what cannot work is refused before anything starts.
func TestOptions(t *testing.T) {
	for _, o := range []Options{{Addr: "x"}, {Addr: ":0", Limits: Limits{Spans: -1}}, {Addr: ":0", API: "nowhere"}, {Addr: ":0", API: "file:///etc"}} {
		if err := Serve(t.Context(), o, nil); err == nil {
			t.Errorf("%+v runs", o)
		}
	}
}
