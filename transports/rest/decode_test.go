package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rest"
)

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type request struct {
	ID    string `json:"-" path:"id"`
	Size  int    `json:"-" query:"size"`
	Deep  bool   `json:"-" query:"deep"`
	Key   string `json:"-" header:"X-Key"`
	Name  string `json:"name"`
	Gift  bool   `json:"gift"`
	Items []item `json:"items"`
	One   *item  `json:"one"`
}

// handler serves one route of every kind; echo answers with its request.
func handler(e endpoint.Endpoint, opts ...rest.RouteOption) http.Handler {
	return rest.Trace(nil, rest.NewHandler([]rest.Route{
		rest.Handle[request]("POST /v1/things/{id}", e, opts...),
		rest.Handle[struct {
			ID string `path:"id"`
		}]("GET /v1/things/{id}", e),
	}))
}

func echo(_ context.Context, r any) (any, error) { return r, nil }

func post(h http.Handler, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Del(header[i])
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problem reads a problem document and checks what all of them promise.
func problem(t *testing.T, w *httptest.ResponseRecorder) rest.Problem {
	t.Helper()
	var p rest.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if ct := w.Header().Get("Content-Type"); ct != rest.ProblemType {
		t.Errorf("content type %q", ct)
	}
	if p.Type != "about:blank" || p.Title == "" || p.Status != w.Code || p.Detail == "" || p.Code == "" {
		t.Errorf("%d with an incomplete problem %+v", w.Code, p)
	}
	if p.TraceID == "" || p.TraceID != w.Header().Get(rest.TraceHeader) {
		t.Errorf("trace id %q in the body, %q in the header", p.TraceID, w.Header().Get(rest.TraceHeader))
	}
	return p
}

func TestDecode(t *testing.T) {
	var got any
	h := handler(func(_ context.Context, r any) (any, error) { got = r; return r, nil })
	w := post(h, "/v1/things/a%2Fb?size=-7&deep=true&other=1",
		` {"name":"é","gift":true,"items":[{"sku":"tea","quantity":2}],"one":null} `, "X-Key", "k 1")
	want := request{ID: "a/b", Size: -7, Deep: true, Key: "k 1", Name: "é", Gift: true, Items: []item{{"tea", 2}}}
	if w.Code != http.StatusOK || !reflect.DeepEqual(got, want) {
		t.Errorf("%d\n%+v, want\n%+v", w.Code, got, want)
	}
	post(h, "/v1/things/1", `{}`, "Content-Type", `Application/JSON; charset=UTF-8`)
	if !reflect.DeepEqual(got, request{ID: "1"}) {
		t.Errorf("%+v", got)
	}
}

func TestBadRequests(t *testing.T) {
	h := handler(func(context.Context, any) (any, error) {
		t.Error("a bad request reaches the endpoint")
		return nil, nil
	})
	long := strings.Repeat("x", 1000)
	for _, tc := range []struct {
		name, path, body string
		header           []string
		code             fault.Code
		want             string // in the sentence
	}{
		{"nothing", "", "", nil, fault.Invalid, "the body is empty"},
		{"blank", "", " \n", nil, fault.Invalid, "the body is empty"},
		{"half", "", `{"name":"a`, nil, fault.Invalid, "ends too early"},
		{"brace", "", `{`, nil, fault.Invalid, "ends too early"},
		{"syntax", "", `{"name":nope}`, nil, fault.Invalid, "not valid JSON: invalid character 'o' in literal null (expecting 'u') at byte 10"},
		{"no JSON", "", `name=a`, nil, fault.Invalid, "not valid JSON"},
		{"list", "", `[]`, nil, fault.Invalid, "must be a JSON object"},
		{"null", "", `null`, nil, fault.Invalid, "must be a JSON object"},
		{"string", "", `"a"`, nil, fault.Invalid, "must be a JSON object"},
		{"behind", "", `{} {}`, nil, fault.Invalid, "goes on after the JSON object"},
		{"garbage behind", "", `{}x`, nil, fault.Invalid, "goes on after the JSON object"},
		{"unknown", "", `{"nmae":"a"}`, nil, fault.Invalid, `unknown field "nmae"`},
		{"unknown inside", "", `{"items":[{"skew":"a"}]}`, nil, fault.Invalid, `unknown field "skew"`},
		{"unknown long", "", `{"` + long + `":1}`, nil, fault.Invalid, `..."; remove`},
		{"hidden", "", `{"ID":"a"}`, nil, fault.Invalid, `unknown field "ID"`},
		{"number for string", "", `{"name":1}`, nil, fault.Invalid, `the field "name" must be a string, not number`},
		{"string for number", "", `{"items":[{"quantity":"2"}]}`, nil, fault.Invalid, `the field "items.quantity" must be a whole number, not string`},
		{"fraction", "", `{"items":[{"quantity":1.5}]}`, nil, fault.Invalid, `must be a whole number, not number 1.5`},
		{"huge", "", `{"items":[{"quantity":99999999999999999999}]}`, nil, fault.Invalid, `must be a whole number, not number 9`},
		{"string for bool", "", `{"gift":"yes"}`, nil, fault.Invalid, `the field "gift" must be true or false, not string`},
		{"object for list", "", `{"items":{}}`, nil, fault.Invalid, `the field "items" must be a list, not object`},
		{"list for object", "", `{"items":[[]]}`, nil, fault.Invalid, `must be an object, not array`},
		{"deep", "", `{"items":` + strings.Repeat("[", 20000), nil, fault.Invalid, "exceeded max depth"},
		{"UTF-8", "", "{\"name\":\"\xff\"}", nil, fault.Invalid, "the body is not valid UTF-8"},
		{"UTF-8 in path", "/v1/things/%ff", "{}", nil, fault.Invalid, "the id in the path is not valid UTF-8"},
		{"UTF-8 in header", "", "{}", []string{"X-Key", "\xff"}, fault.Invalid, "the header X-Key is not valid UTF-8"},
		{"two headers", "", "{}", []string{"X-Key", "a", "X-Key", "b"}, fault.Invalid, "the header X-Key is given 2 times"},
		{"query word", "/v1/things/1?size=ten", "{}", nil, fault.Invalid, `the query parameter size must be a whole number, not "ten"`},
		{"query huge", "/v1/things/1?size=" + strings.Repeat("9", 99), "{}", nil, fault.Invalid, `the query parameter size is too large a number: "9999`},
		{"query bool", "/v1/things/1?deep=perhaps", "{}", nil, fault.Invalid, `the query parameter deep must be true or false`},
		{"query twice", "/v1/things/1?size=1&size=2", "{}", nil, fault.Invalid, "the query parameter size is given 2 times"},
		{"query broken", "/v1/things/1?size=%zz", "{}", nil, fault.Invalid, "the query of the URL is malformed"},
		{"too large", "", `{"name":"` + strings.Repeat("a", 2<<20) + `"}`, nil, fault.TooLarge, "more than 65536 bytes"},
		{"no type", "", "{}", []string{"Content-Type", ""}, fault.UnsupportedMedia, "Content-Type header is missing"},
		{"form", "", "{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, fault.UnsupportedMedia, "send application/json"},
		{"broken type", "", "{}", []string{"Content-Type", ";;"}, fault.UnsupportedMedia, "send application/json"},
		{"charset", "", "{}", []string{"Content-Type", "application/json; charset=latin1"}, fault.UnsupportedMedia, `charset "latin1"`},
		{"gzip", "", "{}", []string{"Content-Encoding", "gzip"}, fault.UnsupportedMedia, `content encoding "gzip"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := tc.path
			if path == "" {
				path = "/v1/things/1"
			}
			p := problem(t, post(h, path, tc.body, tc.header...))
			if p.Code != tc.code || !strings.Contains(p.Detail, tc.want) {
				t.Errorf("%q %s, want %q ...%s", p.Code, p.Detail, tc.code, tc.want)
			}
			if len(p.Detail) > 250 {
				t.Errorf("the sentence has %d bytes: %s", len(p.Detail), p.Detail)
			}
		})
	}
}

// TestMaxBody: the limit is the route's, and the last byte within it is taken.
func TestMaxBody(t *testing.T) {
	h := handler(echo, rest.MaxBody(20))
	if w := post(h, "/v1/things/1", `{"name":"123456789"}`); w.Code != http.StatusOK {
		t.Errorf("20 bytes: %d %s", w.Code, w.Body)
	}
	if w := post(h, "/v1/things/1", `{"name":"1234567890"}`); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("21 bytes: %d %s", w.Code, w.Body)
	}
}

// TestBrokenBody: the caller leaves in the middle of the body.
func TestBrokenBody(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/things/1", io.MultiReader(strings.NewReader("{"), broken{}))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler(echo).ServeHTTP(w, r)
	if p := problem(t, w); p.Code != fault.Invalid || !strings.Contains(p.Detail, "broke off") {
		t.Errorf("%+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w = httptest.NewRecorder()
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(broken{})
	handler(echo).ServeHTTP(w, r)
	if p := problem(t, w); p.Code != fault.Canceled {
		t.Errorf("%+v", p)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestCheckReadsTheBody: the check sees the body that was decoded, and its
// fault is the answer.
func TestCheckReadsTheBody(t *testing.T) {
	h := rest.NewHandler([]rest.Route{rest.Handle[request]("POST /v1/things/{id}", echo)},
		rest.WithCheck(func(r *http.Request) error {
			body, err := io.ReadAll(r.Body)
			return fault.New(fault.Denied, "%s %s %v", r.Pattern, body, err)
		}))
	w := post(h, "/v1/things/1", `{"name":"a"}`)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `POST /v1/things/{id} {\"name\":\"a\"} \u003cnil\u003e`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestHandlePanics: a tag that cannot work is a mistake of the programmer.
func TestHandlePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	rest.Handle[struct {
		Items []item `query:"items"`
	}]("GET /", echo)
}

// FuzzDecode throws anything at the decoder. It must not panic, must answer
// with JSON or a problem, and must have taken exactly one JSON object.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"name":"a","items":[{"sku":"tea","quantity":1}],"one":{}}`, `{"items":null}`, `{"Name":"x"}`, `{} {}`,
		`{"name":"\ud800"}`, "{\"name\":\"\xff\"}", `[`, `{"items":[{"quantity":1e3}]}`, ``, `null`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(body), "application/json", "size=1", "k")
	}
	f.Add([]byte(`{}`), "application/json; charset=utf-8", "size=%zz&deep=1;", "\x00")
	h := handler(echo)
	f.Fuzz(func(t *testing.T, body []byte, contentType, query, key string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/things/1", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK:
			var object map[string]json.RawMessage
			if err := json.Unmarshal(body, &object); err != nil || object == nil || !utf8.Valid(body) {
				t.Errorf("takes %q: %v", body, err)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("answers %q", w.Body)
			}
		case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
			if p := problem(t, w); !utf8.ValidString(p.Detail) {
				t.Errorf("sentence %s", strconv.Quote(p.Detail))
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
