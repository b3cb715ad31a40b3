package zipkin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
)

// FuzzSpans feeds both decoders. Whatever comes, nothing panics; what is taken
// is stored in a form that reads back as itself, and can be searched and linked.
func FuzzSpans(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add([]byte(c.steps[0].body), false)
	}
	for _, c := range linkCases {
		f.Add([]byte(c.steps[0].body), false)
	}
	for _, c := range protoCases {
		f.Add([]byte(c.steps[0].body), true)
	}
	id := model.ID(7)
	seed, err := zipkin_proto3.SpanSerializer{}.Serialize([]*model.SpanModel{{
		SpanContext: model.SpanContext{TraceID: model.TraceID{High: 1, Low: 2}, ID: 3, ParentID: &id}, Kind: model.Client, Name: "x",
		LocalEndpoint: &model.Endpoint{ServiceName: "a", IPv4: []byte{1, 2, 3, 4}}, Tags: map[string]string{"error": ""},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, true)
	f.Fuzz(func(t *testing.T, body []byte, proto bool) {
		decode := decodeJSON
		if proto {
			decode = decodeProto3
		}
		store := NewStore(Limits{Spans: 50, Bytes: 1 << 20}, []string{"env"})
		b := store.batch()
		if err := decode(body, b.add); err != nil {
			return
		}
		for i := range b.spans {
			checkCanonical(t, b.raw(i))
		}
		store.accept(b)
		askEverything(t, store)
	})
}

// checkCanonical: a stored span is valid JSON and its own canonical form.
func checkCanonical(t *testing.T, raw []byte) {
	t.Helper()
	if !json.Valid(raw) || !utf8.Valid(raw) {
		t.Fatalf("stored %q, which is no JSON", raw)
	}
	var again []byte
	list := append(append([]byte{'['}, raw...), ']')
	if err := decodeJSON(list, func(s *span) { again = appendSpan(nil, s) }); err != nil {
		// An id may be zero if it is short; written in full it is refused.
		if !bytes.Contains(raw, []byte(`"id":"0000000000000000"`)) {
			t.Fatalf("stored %s, which does not read back: %v", raw, err)
		}
		return
	}
	if !bytes.Equal(raw, again) {
		t.Fatalf("stored %s reads back as %s", raw, again)
	}
}

func askEverything(t *testing.T, store *Store) {
	t.Helper()
	if s := store.Stats(); s.Spans > 50 || s.Bytes > 1<<20 {
		t.Fatalf("bounds broken: %+v", s)
	}
	api := NewAPI(store)
	for _, path := range []string{
		"/api/v2/services", "/api/v2/dependencies?endTs=9223372036854775807&lookback=9223372036854775807",
		"/api/v2/traces?endTs=9223372036854775807&lookback=9223372036854775807&annotationQuery=error&limit=100",
		"/api/v2/traces?endTs=9223372036854775807&lookback=9223372036854775807",
	} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
