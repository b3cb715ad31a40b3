package openapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/openapi"
)

func TestDocumentIsValid(t *testing.T) {
	doc, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %s, want 3.1", doc.OpenAPI)
	}
	codes := doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum
	if len(codes) != len(fault.Codes()) {
		t.Errorf("the document knows %d codes, services/fault %d", len(codes), len(fault.Codes()))
	}
	for i, code := range fault.Codes() {
		if codes[i] != string(code) {
			t.Errorf("code %d is %v in the document, %q in services/fault", i, codes[i], code)
		}
	}
}

// requests holds a request and, if it is wrong, what its sentence must contain.
var requests = []struct{ name, do, key, body, want string }{
	{"page", "GET /v1/products?page_size=100", "", "", ""},
	{"page size zero", "GET /v1/products?page_size=0", "", "", "the query parameter page_size must be at least 1. Use 1 to 100"},
	{"page size huge", "GET /v1/products?page_size=101", "", "", "page_size must be at most 100"},
	{"page size word", "GET /v1/products?page_size=ten", "", "", "the query parameter page_size cannot be read"},
	{"token long", "GET /v1/products?page_token=" + strings.Repeat("a", 257), "", "", "page_token must have at most 256 characters"},
	{"sku", "GET /v1/products/tea", "", "", ""},
	{"sku long", "GET /v1/products/" + strings.Repeat("a", 65), "", "", "the sku in the path must have at most 64 characters"},
	{"order", "POST /v1/orders", "k 1", `{"lines":[{"sku":"tea","quantity":1}]}`, ""},
	{"no key", "POST /v1/orders", "", `{"lines":[{"sku":"tea","quantity":1}]}`, "the header Idempotency-Key is missing. Send 1 to 128"},
	{"key long", "POST /v1/orders", strings.Repeat("k", 129), `{"lines":[{"sku":"tea","quantity":1}]}`, "the header Idempotency-Key must have at most 128 characters"},
	{"key binary", "POST /v1/orders", "k\x7f", `{"lines":[{"sku":"tea","quantity":1}]}`, "the header Idempotency-Key must match"},
	{"no lines", "POST /v1/orders", "k", `{}`, `the field "lines" is missing`},
	{"empty lines", "POST /v1/orders", "k", `{"lines":[]}`, `the field "lines" must not be empty`},
	{"null lines", "POST /v1/orders", "k", `{"lines":null}`, `the field "lines"`},
	{"many lines", "POST /v1/orders", "k", `{"lines":[` + strings.Repeat(`{"sku":"t","quantity":1},`, 100) + `{"sku":"t","quantity":1}]}`, "must have at most 100 entries"},
	{"zero", "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":0}]}`, `the field "lines.0.quantity" must be at least 1`},
	{"negative", "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":1},{"sku":"rum","quantity":-3}]}`, `the field "lines.1.quantity" must be at least 1`},
	{"huge", "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":1001}]}`, `must be at most 1000`},
	{"fraction", "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":1.5}]}`, `the field "lines.0.quantity" must be of type integer`},
	{"no quantity", "POST /v1/orders", "k", `{"lines":[{"sku":"tea"}]}`, `the field "lines.0.quantity" is missing`},
	{"empty sku", "POST /v1/orders", "k", `{"lines":[{"sku":"","quantity":1}]}`, `the field "lines.0.sku" must not be empty`},
	{"other case", "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":1}],"Lines":[]}`, `Lines`},
}

// serve runs check where rest.NewHandler does: behind http.ServeMux.
func serve(check func(*http.Request) error) http.Handler {
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /v1/products", "GET /v1/products/{sku}", "POST /v1/orders", "GET /v1/orders/{id}"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			before, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(before)))
			if err := check(r); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, fault.MessageOf(err))
			}
			if after, _ := io.ReadAll(r.Body); string(after) != string(before) {
				w.WriteHeader(http.StatusTeapot) // the next reader must find the body
			}
		})
	}
	return mux
}

func send(h http.Handler, do, key, body string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(do, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRequest(t *testing.T) {
	v, err := openapi.NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	h := serve(v.Request)
	for _, tc := range requests {
		t.Run(tc.name, func(t *testing.T) {
			w := send(h, tc.do, tc.key, tc.body)
			if ok := tc.want == ""; ok != (w.Code == http.StatusOK) || !strings.Contains(w.Body.String(), tc.want) {
				t.Errorf("%d %q, want %q", w.Code, w.Body, tc.want)
			}
		})
	}
}

// TestValidatorsAgree holds the fast validator of production against JSON
// Schema 2020-12.
func TestValidatorsAgree(t *testing.T) {
	fast, err := openapi.NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	strict, err := openapi.NewStrictValidator()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range requests {
		a, b := send(serve(fast.Request), tc.do, tc.key, tc.body), send(serve(strict.Request), tc.do, tc.key, tc.body)
		if a.Code != b.Code {
			t.Errorf("%s: %d %q, by JSON Schema 2020-12 %d %q", tc.name, a.Code, a.Body, b.Code, b.Body)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, open := range map[string]func() (*openapi.Validator, error){
		"production": openapi.NewValidator, "strict": openapi.NewStrictValidator,
	} {
		v, err := open()
		if err != nil {
			b.Fatal(err)
		}
		h := serve(v.Request)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if w := send(h, "POST /v1/orders", "k", `{"lines":[{"sku":"tea","quantity":1}]}`); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

func TestResponse(t *testing.T) {
	v, err := openapi.NewStrictValidator()
	if err != nil {
		t.Fatal(err)
	}
	id := http.Header{"X-Trace-Id": {"463ac35c9f6413ad"}, "Content-Type": {"application/json"}}
	anonymous := http.Header{"Content-Type": {"application/json"}}
	for _, tc := range []struct {
		name, do, body string
		status         int
		header         http.Header
		ok             bool
	}{
		{"good", "GET /v1/products", `{"products":[]}`, 200, id, true},
		{"no trace id", "GET /v1/products", `{"products":[]}`, 200, anonymous, false},
		{"null list", "GET /v1/products", `{"products":null}`, 200, id, false},
		{"undocumented field", "GET /v1/products", `{"products":[],"secret":1}`, 200, id, false},
		{"undocumented nested field", "GET /v1/products", `{"products":[{"sku":"a","name":"b","category":"c","cost":1}]}`, 200, id, false},
		{"undocumented status", "GET /v1/products", `{}`, 201, id, false},
		{"undocumented path", "GET /v2/products", `{}`, 200, id, false},
		{"missing path", "GET /v2/products", `{}`, 404, id, true},
		{"other method", "PUT /v1/products", `{}`, 405, id, true},
		{"other method taken", "PUT /v1/products", `{}`, 200, id, false},
	} {
		method, path, _ := strings.Cut(tc.do, " ")
		err := v.Response(httptest.NewRequest(method, path, nil), tc.status, tc.header, io.NopCloser(strings.NewReader(tc.body)))
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestDocs fetches the page and all it refers to: nothing may come from
// elsewhere or inline, or the policy would stop it.
func TestDocs(t *testing.T) {
	h := openapi.Handler()
	page := send(h, "GET /docs/", "", "")
	csp := page.Header().Get("Content-Security-Policy")
	if page.Code != http.StatusOK || !strings.Contains(csp, "script-src 'self';") || !strings.Contains(csp, "default-src 'none'") {
		t.Fatalf("%d, policy %q", page.Code, csp)
	}
	html := page.Body.String()
	if strings.Contains(html, "//") || strings.Contains(html, "<script>") || strings.Contains(html, "<style") {
		t.Errorf("the page has foreign or inline parts:\n%s", html)
	}
	refs := 0
	for part := range strings.SplitSeq(html, `"`) {
		if !strings.HasPrefix(part, "/") {
			continue
		}
		refs++
		if w := send(h, "GET "+part, "", ""); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %d bytes", part, w.Code, w.Body.Len())
		}
	}
	if refs < 5 {
		t.Errorf("the page refers to %d files, want at least 5", refs)
	}
	doc := send(h, "GET /openapi.yaml", "", "")
	if doc.Body.String() != string(openapi.Document()) || doc.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("/openapi.yaml: %d %s", doc.Code, doc.Header().Get("Content-Type"))
	}
	if w := send(h, "GET /docs", "", ""); w.Header().Get("Location") != "/docs/" {
		t.Errorf("/docs: %d to %q", w.Code, w.Header().Get("Location"))
	}
}
