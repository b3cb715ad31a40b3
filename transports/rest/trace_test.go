package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	zipkin "github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/propagation/b3"
	"github.com/openzipkin/zipkin-go/reporter/recorder"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rest"
)

const (
	trace64  = "463ac35c9f6413ad"
	trace128 = "463ac35c9f6413ad48485a3953bb6124"
	span     = "a2fb4a1d1a96d312"
)

// traced serves one route behind Trace and gives its spans.
func traced(t *testing.T, e func(context.Context, any) (any, error)) (http.Handler, *recorder.ReporterRecorder) {
	t.Helper()
	spans := recorder.NewReporter()
	t.Cleanup(func() { _ = spans.Close() })
	tracer, err := zipkin.NewTracer(spans, zipkin.WithTraceID128Bit(true), zipkin.WithSharedSpans(false))
	if err != nil {
		t.Fatal(err)
	}
	routes := []rest.Route{rest.Handle[struct {
		ID    string `path:"id"`
		Trace string `header:"X-Trace-Id"`
	}]("GET /v1/things/{id}", e)}
	return rest.Trace(tracer, rest.NewHandler(routes)), spans
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestB3 joins the caller's trace when the headers are whole, and starts a new
// one when anything about them is broken.
func TestB3(t *testing.T) {
	multi := func(trace, span, parent, sampled string) []string {
		return []string{"X-B3-TraceId", trace, "X-B3-SpanId", span, "X-B3-ParentSpanId", parent, "X-B3-Sampled", sampled}
	}
	for _, tc := range []struct {
		name   string
		header []string
		joins  string // the trace; empty: a new one
		silent bool   // not sampled
	}{
		{"none", nil, "", false},
		{"single 128", []string{"b3", trace128 + "-" + span + "-1"}, trace128, false},
		{"single 64", []string{"b3", trace64 + "-" + span}, trace64, false},
		{"single with parent", []string{"b3", trace128 + "-" + span + "-1-" + trace64}, trace128, false},
		{"single debug", []string{"b3", trace128 + "-" + span + "-d"}, trace128, false},
		{"single unsampled", []string{"b3", trace128 + "-" + span + "-0"}, trace128, true},
		{"single deny", []string{"b3", "0"}, "", true},
		{"single wins", append(multi(trace64, span, "", "1"), "b3", trace128+"-"+span), trace128, false},
		{"broken single, whole multi", append(multi(trace64, span, "", "1"), "b3", "x"), trace64, false},
		{"multi 128", multi(trace128, span, "", "1"), trace128, false},
		{"multi 64", multi(trace64, span, span, ""), trace64, false},
		{"multi unsampled", multi(trace64, span, "", "0"), trace64, true},
		{"multi padded", multi("0000000000000000"+trace64, span, "", "1"), trace64, false},
		{"low half zero", multi(trace64+"0000000000000000", span, "", "1"), trace64 + "0000000000000000", false},
		{"multi deny", multi("", "", "", "0"), "", true},
		{"multi no span", multi(trace64, "", "", "1"), "", false},
		{"multi no trace", multi("", span, "", "1"), "", false},
		{"multi only parent", multi("", "", span, "1"), "", false},
		{"multi short", multi("abc", span, "", "1"), "", false},
		{"multi long", multi(trace128+trace64, span, "", "1"), "", false},
		{"multi no hex", multi("zzzac35c9f6413ad", span, "", "1"), "", false},
		{"multi zero trace", multi("0000000000000000", span, "", "1"), "", false},
		{"multi zero span", multi(trace64, "0000000000000000", "", "1"), "", false},
		{"multi broken parent", multi(trace64, span, "x", "1"), "", false},
		{"multi sampled?", multi(trace64, span, "", "maybe"), "", false},
		{"single empty parts", []string{"b3", "---"}, "", false},
		{"single only trace", []string{"b3", trace128}, "", false},
		{"single cut", []string{"b3", trace128 + "-a2fb"}, "", false}, // zipkin-go panics here
		{"single trailing", []string{"b3", trace128 + "-" + span + "-"}, "", false},
		{"single sampled?", []string{"b3", trace128 + "-" + span + "-2"}, "", false},
		{"single too many", []string{"b3", trace128 + "-" + span + "-1-" + trace64 + "-1"}, "", false},
		{"single long", []string{"b3", strings.Repeat("a", 100000)}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, spans := traced(t, echo)
			w := get(h, "/v1/things/1", tc.header...)
			id := w.Header().Get("X-Trace-Id")
			if w.Code != http.StatusOK || !traceID.MatchString(id) || !strings.Contains(w.Body.String(), id) {
				t.Fatalf("%d, trace id %q, %s", w.Code, id, w.Body)
			}
			if tc.joins != "" && id != tc.joins {
				t.Errorf("trace %s, want %s", id, tc.joins)
			}
			if tc.joins == "" && (len(id) != 32 || id == trace128 || strings.Contains(id, trace64)) {
				t.Errorf("joins %s", id)
			}
			if got := spans.Flush(); (len(got) == 0) != tc.silent {
				t.Errorf("%d spans", len(got))
			} else if tc.joins != "" && !tc.silent && (got[0].ParentID == nil || got[0].ParentID.String() != span) {
				t.Errorf("the span's parent is %v, want the caller's", got[0].ParentID)
			}
		})
	}
}

var traceID = regexp.MustCompile("^([0-9a-f]{16}|[0-9a-f]{32})$")

// TestStockB3Panics shows why the headers are parsed here.
func TestStockB3Panics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("zipkin-go is fixed: it no longer panics on a cut header")
		}
	}()
	_, _ = b3.ParseSingleHeader(trace128 + "-a2fb")
}

func TestSpan(t *testing.T) {
	h, spans := traced(t, func(_ context.Context, r any) (any, error) {
		if strings.Contains(strings.ToLower(strings.TrimSpace(toJSON(r))), "missing") {
			return nil, fault.New(fault.NotFound, "no such thing")
		}
		return r, nil
	})
	for _, tc := range []struct {
		do, name, status, err string
	}{
		{"GET /v1/things/1", "GET /v1/things/{id}", "200", ""},
		{"HEAD /v1/things/1", "GET /v1/things/{id}", "200", ""},
		{"GET /v1/things/missing", "GET /v1/things/{id}", "404", "not_found"},
		{"PUT /v1/things/1", "PUT", "405", "method_not_allowed"},
		{"GET /" + strings.Repeat("x", 500), "GET", "404", "not_found"},
		{"BREW /v1/things/1", "UNKNOWN", "405", "method_not_allowed"},
	} {
		method, path, _ := strings.Cut(tc.do, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		got := spans.Flush()
		if len(got) != 1 {
			t.Fatalf("%s: %d spans", tc.do, len(got))
		}
		s := got[0]
		if s.Kind != model.Server || s.Name != tc.name || s.Tags["http.status_code"] != tc.status || s.Tags["error"] != tc.err {
			t.Errorf("%s: %s span %q, tags %v", tc.do, s.Kind, s.Name, s.Tags)
		}
		if len(s.Tags["http.path"]) > 80 {
			t.Errorf("%s: path tag of %d bytes", tc.do, len(s.Tags["http.path"]))
		}
	}
}

// TestForeignHandlerError: a handler that answers an error by itself is tagged
// with its status.
func TestForeignHandlerError(t *testing.T) {
	spans := recorder.NewReporter()
	tracer, err := zipkin.NewTracer(spans)
	if err != nil {
		t.Fatal(err)
	}
	get(rest.Trace(tracer, http.NotFoundHandler()), "/")
	if got := spans.Flush(); len(got) != 1 || got[0].Tags["error"] != "404" {
		t.Errorf("%+v", got)
	}
}

// TestTraceHeaderIsTheServers: a customer cannot choose the trace id an order
// is kept with; also without a reporter, when zipkin-go makes no ids.
func TestTraceHeaderIsTheServers(t *testing.T) {
	noop, err := zipkin.NewTracer(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tracer := range map[string]*zipkin.Tracer{"nil": nil, "no reporter": noop} {
		h := rest.Trace(tracer, rest.NewHandler([]rest.Route{rest.Handle[struct {
			Trace string `header:"X-Trace-Id" json:"trace"`
		}]("GET /", echo)}))
		w := get(h, "/", "X-Trace-Id", "forged")
		id := w.Header().Get("X-Trace-Id")
		if !traceID.MatchString(id) || strings.Trim(id, "0") == "" || !strings.Contains(w.Body.String(), id) {
			t.Errorf("%s: %q, %s", name, id, w.Body)
		}
		if w := get(h, "/nowhere/else"); w.Code == http.StatusNotFound {
			problem(t, w)
		}
	}
}

// FuzzB3 throws anything at the header parsing. It must not panic, every
// answer has a trace id, and only whole headers are joined.
func FuzzB3(f *testing.F) {
	f.Add(trace128+"-"+span+"-1", "", "", "", "", "")
	f.Add(trace128+"-a2fb", "", "", "", "", "")
	f.Add("", trace64, span, "", "1", "")
	f.Add("0", trace64, span, span, "true", "1")
	f.Add("-", "-", "-", "-", "-", "-")
	h := rest.Trace(nil, rest.NewHandler([]rest.Route{rest.Serve("GET /{$}", http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))}))
	f.Fuzz(func(t *testing.T, single, trace, span, parent, sampled, flags string) {
		w := get(h, "/", "b3", single, "X-B3-TraceId", trace, "X-B3-SpanId", span,
			"X-B3-ParentSpanId", parent, "X-B3-Sampled", sampled, "X-B3-Flags", flags)
		id := w.Header().Get("X-Trace-Id")
		if w.Code != http.StatusNoContent || !traceID.MatchString(id) || strings.Trim(id, "0") == "" {
			t.Errorf("%d, trace id %q", w.Code, id)
		}
		if len(id) == 16 && !strings.Contains(strings.ToLower(single+trace), id) {
			t.Errorf("a 64-bit id %q that nobody sent", id)
		}
	})
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
