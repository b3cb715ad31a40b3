package traceview

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC // golden files name local times
	os.Exit(m.Run())
}

// order is an order whose first try to reserve met a killed instance.
const order = `[
	{"traceId":"4e44","id":"1","kind":"SERVER","name":"post /v1/orders","timestamp":1700000000000000,"duration":48200,"localEndpoint":{"serviceName":"edge"}},
	{"traceId":"4e44","id":"2","parentId":"1","kind":"CLIENT","name":"orders.place","timestamp":1700000000000900,"duration":45800,"localEndpoint":{"serviceName":"edge"},"remoteEndpoint":{"serviceName":"orders"},"tags":{"instance":"orders-3","try":"1","breaker":"closed"}},
	{"traceId":"4e44","id":"2","parentId":"1","kind":"SERVER","shared":true,"name":"orders.place","timestamp":1700000000001000,"duration":45000,"localEndpoint":{"serviceName":"orders"},"tags":{"instance":"orders-3"}},
	{"traceId":"4e44","id":"3","parentId":"2","kind":"CLIENT","name":"inventory.reserve","timestamp":1700000000007000,"duration":4100,"localEndpoint":{"serviceName":"orders"},"remoteEndpoint":{"serviceName":"inventory"},"tags":{"instance":"inventory-1","try":"1","breaker":"half-open","error":"connection refused"}},
	{"traceId":"4e44","id":"4","parentId":"2","kind":"CLIENT","name":"inventory.reserve","timestamp":1700000000011400,"duration":3900,"localEndpoint":{"serviceName":"orders"},"remoteEndpoint":{"serviceName":"inventory"},"tags":{"instance":"inventory-3","try":"2","breaker":"closed"}},
	{"traceId":"4e44","id":"4","parentId":"2","kind":"SERVER","shared":true,"timestamp":1700000000011500,"duration":3700,"localEndpoint":{"serviceName":"inventory"}},
	{"traceId":"4e44","id":"5","parentId":"4","name":"fsync","timestamp":1700000000012000,"duration":700,"localEndpoint":{"serviceName":"inventory"}},
	{"traceId":"4e44","id":"6","parentId":"2","kind":"PRODUCER","name":"orders.placed","timestamp":1700000000040000,"duration":500,"localEndpoint":{"serviceName":"orders"},"remoteEndpoint":{"serviceName":"nats"}},
	{"traceId":"4e44","id":"7","parentId":"6","kind":"CONSUMER","name":"dispatch","timestamp":1700000000041000,"duration":5600,"localEndpoint":{"serviceName":"shipping"}}]`

func decode(t *testing.T, text string) (spans []Span) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &spans); err != nil {
		t.Fatal(err)
	}
	return spans
}

func TestWrite(t *testing.T) {
	for name, style := range map[string]Style{"plain": {}, "colour": {Colour: true}, "narrow": {Width: 90}} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Write(&b, decode(t, order), "http://zipkin/zipkin/traces/4e44", style); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/order-"+name+".txt", b.String())
			if style.Width > 0 {
				for line := range strings.Lines(strings.SplitN(b.String(), "\n\n", 2)[1]) {
					if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > style.Width {
						t.Errorf("%d columns: %s", n, line)
					}
				}
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", file, got, want)
	}
}

func TestSummarise(t *testing.T) {
	got := Summarise(decode(t, order))
	want := Summary{ID: "4e44", Service: "edge", Name: "post /v1/orders", Start: time.UnixMicro(1700000000000000), Duration: 48200 * time.Microsecond,
		Spans: 9, Services: 4, Errors: 1, Retries: 1, Complete: true}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestBrokenInput: whatever a trace looks like, every span is shown once.
func TestBrokenInput(t *testing.T) {
	deep := make([]Span, 3000)
	for i := range deep {
		deep[i] = Span{TraceID: "1", ID: fmt.Sprint(i + 1), ParentID: fmt.Sprint(i), Name: fmt.Sprintf("span-%d-", i)}
	}
	for name, spans := range map[string][]Span{
		"a circle":           decode(t, `[{"id":"1","parentId":"2","name":"span-1-"},{"id":"2","parentId":"1","name":"span-2-"}]`),
		"its own parent":     decode(t, `[{"id":"1","parentId":"1","name":"span-1-"}]`),
		"a circle on a side": decode(t, `[{"id":"1","name":"span-1-"},{"id":"2","parentId":"3","name":"span-2-"},{"id":"3","parentId":"2","name":"span-3-"}]`),
		"no root":            decode(t, `[{"id":"1","parentId":"9","name":"span-1-"},{"id":"2","parentId":"8","name":"span-2-"}]`),
		"no times":           decode(t, `[{"id":"1","name":"span-1-"},{"id":"2","parentId":"1","name":"span-2-"}]`),
		"very deep":          deep,
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Write(&b, spans, "", Style{Width: 100}); err != nil {
				t.Fatal(err)
			}
			_, tree, _ := strings.Cut(b.String(), "\n\n")
			if got := strings.Count(tree, "span-"); got != len(spans) {
				t.Errorf("%d of %d spans shown:\n%.2000s", got, len(spans), tree)
			}
		})
	}
}

// TestTerminalIsSafe: no span can send control sequences to a terminal.
func TestTerminalIsSafe(t *testing.T) {
	evil := "a\x1b]0;title\x07\r\nb\u202e"
	spans := []Span{{TraceID: evil, ID: "1", Name: evil, Local: Endpoint{Service: evil}, Tags: map[string]string{"error": evil, "instance": evil, "try": evil, "breaker": evil}}}
	var b strings.Builder
	if err := Write(&b, spans, evil, Style{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07\r\u202e") {
		t.Errorf("control characters in %q", b.String())
	}
}

func TestFind(t *testing.T) {
	const slow = `[{"traceId":"51","id":"1","name":"slow","timestamp":1600000000000000,"duration":99000}]`
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		switch {
		case r.URL.Path == "/api/v2/trace/4e44":
			fmt.Fprint(w, order)
		case r.URL.Path == "/api/v2/traces" && r.URL.Query().Get("serviceName") == "none":
			fmt.Fprint(w, "[]")
		case r.URL.Path == "/api/v2/traces":
			fmt.Fprintf(w, "[%s,%s,[]]", slow, order)
		case r.URL.Path == "/api/v2/trace/bad":
			http.Error(w, "no", http.StatusBadRequest)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for _, c := range []struct {
		q        Query
		id, asks string
		err      error
	}{
		{Query{}, "4e44", "/api/v2/traces?limit=20&lookback=3600000", nil},
		{Query{Slowest: true, Lookback: time.Minute}, "51", "/api/v2/traces?limit=500&lookback=60000", nil},
		{Query{Failed: true, Service: "orders"}, "4e44", "/api/v2/traces?annotationQuery=error&limit=20&lookback=3600000&serviceName=orders", nil},
		{Query{Service: "none"}, "", "/api/v2/traces?limit=20&lookback=3600000&serviceName=none", ErrNotFound},
	} {
		raw, spans, err := Find(t.Context(), server.URL+"/", c.q)
		if !errors.Is(err, c.err) || asked != c.asks || err == nil && (spans[0].TraceID != c.id || !json.Valid(raw)) {
			t.Errorf("%+v: asked %s, got %v, %v", c.q, asked, spans, err)
		}
	}
	if _, spans, err := Get(t.Context(), server.URL, "4e44"); err != nil || len(spans) != 9 {
		t.Errorf("got %d spans, %v", len(spans), err)
	}
	if _, _, err := Get(t.Context(), server.URL, "77"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if _, _, err := Get(t.Context(), server.URL, "bad"); err == nil || !strings.Contains(err.Error(), "says: no") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Get(ctx, server.URL, "4e44"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
