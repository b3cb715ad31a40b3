package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"

	endpoints "github.com/kitmesh/kitmesh/endpoints/gateway"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
	"github.com/kitmesh/kitmesh/transports/openapi"
	"github.com/kitmesh/kitmesh/transports/openapi/openapitest"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// TestContract runs one suite against the service itself and against its REST
// form, which must be indistinguishable. The OpenAPI document is not asked: the
// random requests are none that it admits.
func TestContract(t *testing.T) {
	var fake wiretest.Fake
	set := endpoints.New(endpoints.Set{
		BrowseEndpoint:     fake.Method("Browse"),
		ProductEndpoint:    fake.Method("Product"),
		PlaceOrderEndpoint: chosen(fake.Method("PlaceOrder")),
		GetOrderEndpoint:   fake.Method("GetOrder"),
	}, fake.Wrap)
	base := wiretest.REST(t, Routes(set))
	for name, svc := range map[string]gateway.Service{
		"direct": set,
		"rest": endpoints.Set{
			BrowseEndpoint:     wiretest.Call[gateway.BrowseRequest, gateway.Listing](base, "GET /v1/products"),
			ProductEndpoint:    wiretest.Call[gateway.ProductRequest, gateway.ProductPage](base, "GET /v1/products/{sku}"),
			PlaceOrderEndpoint: wiretest.Call[gateway.PlaceOrderRequest, gateway.Order](base, "POST /v1/orders"),
			GetOrderEndpoint:   wiretest.Call[gateway.GetOrderRequest, gateway.Order](base, "GET /v1/orders/{id}"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.Method(t, &fake, "gateway.Browse", svc.Browse)
			wiretest.Method(t, &fake, "gateway.Product", svc.Product)
			wiretest.Method(t, &fake, "gateway.PlaceOrder", func(ctx context.Context, r placeOrder) (gateway.Order, error) {
				return svc.PlaceOrder(ctx, gateway.PlaceOrderRequest{Key: r.Key, Lines: r.Lines, TraceID: "the caller's"})
			})
			wiretest.Method(t, &fake, "gateway.GetOrder", svc.GetOrder)
		})
	}
}

// placeOrder is the part of the request that the caller chooses: the trace id
// is the server's own by design.
type placeOrder struct {
	Key   string `header:"Idempotency-Key"`
	Lines []gateway.Line
}

func chosen(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		r := request.(gateway.PlaceOrderRequest)
		if r.TraceID == "" {
			return nil, fault.New(fault.Internal, "no trace id")
		}
		return next(ctx, placeOrder{Key: r.Key, Lines: r.Lines})
	}
}

// shop is a service with one product and one rule per fault.
type shop struct {
	placed map[string]string // key → body
}

func (s *shop) Browse(_ context.Context, r gateway.BrowseRequest) (gateway.Listing, error) {
	if r.PageToken != "" {
		return gateway.Listing{}, fault.New(fault.Invalid, "the page token is not one of ours; start at the first page")
	}
	return gateway.Listing{Products: []gateway.ListedProduct{
		{SKU: "tea", Name: "Tea", Category: "drinks", Price: &gateway.Money{Amount: 690, Currency: "EUR"}},
		{SKU: "rum", Name: "Rum", Category: "drinks"},
	}, NextPageToken: "cnVt", Partial: []string{"price"}}, nil
}

func (s *shop) Product(_ context.Context, r gateway.ProductRequest) (gateway.ProductPage, error) {
	if r.SKU != "tea" {
		return gateway.ProductPage{}, fault.New(fault.NotFound, "there is no product %q", r.SKU)
	}
	return gateway.ProductPage{SKU: "tea", Name: "Tea", Description: "Hot.", Category: "drinks", Tagline: "New",
		Price: &gateway.Money{Amount: 690, Currency: "EUR"}, Available: new(0),
		Shipping: &gateway.ShippingEstimate{Cost: gateway.Money{Amount: 490, Currency: "EUR"}, Days: 2}}, nil
}

func (s *shop) PlaceOrder(_ context.Context, r gateway.PlaceOrderRequest) (gateway.Order, error) {
	body, err := json.Marshal(r.Lines)
	if err != nil {
		return gateway.Order{}, err
	}
	if before, ok := s.placed[r.Key]; ok && before != string(body) {
		return gateway.Order{}, fault.New(fault.KeyReused, "the Idempotency-Key belongs to an order with another body; use a fresh one")
	}
	switch r.Lines[0].SKU {
	case "tea":
	case "gold":
		return gateway.Order{}, fault.New(fault.Declined, "the card was declined; use another one")
	case "rum":
		return gateway.Order{}, fault.New(fault.Conflict, "only 1 unit of rum is left")
	case "busy":
		return gateway.Order{}, &fault.Error{Code: fault.Limited, Message: "slow down", RetryAfter: 3 * time.Second}
	case "shed":
		return gateway.Order{}, fault.New(fault.Overloaded, "too much to do")
	case "late":
		return gateway.Order{}, context.DeadlineExceeded
	case "bug":
		panic("secret of the house")
	default:
		return gateway.Order{}, fault.New(fault.NotFound, "there is no product %q", r.Lines[0].SKU)
	}
	s.placed[r.Key] = string(body)
	order := s.order("ord-" + r.Key)
	order.TraceID = r.TraceID
	if strings.HasPrefix(r.Key, "slow") {
		order.Status = gateway.StatusPending
	}
	return order, nil
}

func (s *shop) GetOrder(_ context.Context, r gateway.GetOrderRequest) (gateway.Order, error) {
	if r.ID != "ord-1" {
		return gateway.Order{}, fault.New(fault.NotFound, "there is no order %q", r.ID)
	}
	return s.order(r.ID), nil
}

func (s *shop) order(id string) gateway.Order {
	eur := func(n int64) gateway.Money { return gateway.Money{Amount: n, Currency: "EUR"} }
	return gateway.Order{ID: id, Status: gateway.StatusConfirmed, Lines: []gateway.Line{{SKU: "tea", Quantity: 2}},
		Goods: eur(1380), Shipping: eur(490), Total: eur(1870), PlacedAt: time.Unix(1767225600, 0).UTC(), TraceID: "463ac35c9f6413ad"}
}

// open returns the gateway's handler over the shop, every answer validated.
func open(t *testing.T) http.Handler {
	t.Helper()
	set := endpoints.New(&shop{placed: map[string]string{}}, wiretest.Plain)
	return openapitest.Strict(t, NewHandler(set, nil, rest.WithLogger(slog.New(slog.DiscardHandler))))
}

// call sends a request; header lines are "Name: value".
func call(h http.Handler, do, body string, header ...string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(do, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const twoTea = `{"lines":[{"sku":"tea","quantity":2}]}`

func TestGoodRequests(t *testing.T) {
	h := open(t)
	for _, tc := range []struct {
		do, body, key string
		status        int
		want          string // in the answer
	}{
		{"GET /v1/products", "", "", 200, `"next_page_token":"cnVt"`},
		{"GET /v1/products?page_size=2", "", "", 200, `"price":{"amount":690,"currency":"EUR"}`},
		{"HEAD /v1/products", "", "", 200, ""},
		{"GET /v1/products/tea", "", "", 200, `"available":0`},
		{"POST /v1/orders", twoTea, "1", 201, `"id":"ord-1"`},
		{"POST /v1/orders", twoTea, "1", 201, `"id":"ord-1"`},
		{"POST /v1/orders", twoTea, "slow", 202, `"status":"pending"`},
		{"POST /v1/orders", twoTea, strings.Repeat("k", 128), 201, `"status":"confirmed"`},
		{"GET /v1/orders/ord-1", "", "", 200, `"placed_at":"2026-01-01T00:00:00Z"`},
		{"GET /openapi.yaml", "", "", 200, "openapi: 3.1.0"},
		{"GET /docs/", "", "", 200, "swagger-ui"},
		{"GET /", "", "", 303, ""},
	} {
		w := call(h, tc.do, tc.body, "Idempotency-Key: "+tc.key)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) || w.Header().Get("X-Trace-Id") == "" {
			t.Errorf("%s: %d %s, want %d with %s", tc.do, w.Code, w.Body, tc.status, tc.want)
		}
		if created := tc.status == 201 || tc.status == 202; created != strings.HasPrefix(w.Header().Get("Location"), "/v1/orders/ord-") {
			t.Errorf("%s: %d with Location %q", tc.do, w.Code, w.Header().Get("Location"))
		}
	}
}

// TestTraceIDOfAnOrder: the order is kept with the trace id of its request, not
// with one that the customer made up.
func TestTraceIDOfAnOrder(t *testing.T) {
	w := call(open(t), "POST /v1/orders", twoTea, "Idempotency-Key: 1", "X-Trace-Id: forged")
	var order gateway.Order
	if err := json.Unmarshal(w.Body.Bytes(), &order); err != nil || order.TraceID != w.Header().Get("X-Trace-Id") || order.TraceID == "forged" {
		t.Errorf("trace %q in the order, %q in the header, %v", order.TraceID, w.Header().Get("X-Trace-Id"), err)
	}
}

// TestBadInput: each kind of bad input gets its own clear answer.
func TestBadInput(t *testing.T) {
	h, key := open(t), "Idempotency-Key: 1"
	for _, tc := range []struct {
		name, do, body string
		header         []string
		status         int
		code           fault.Code
		want           string // in the sentence
	}{
		{"malformed JSON", "POST /v1/orders", `{"lines":`, []string{key}, 400, fault.Invalid, "the JSON of the body ends too early"},
		{"no JSON", "POST /v1/orders", `lines=tea`, []string{key}, 400, fault.Invalid, "not valid JSON"},
		{"empty body", "POST /v1/orders", ``, []string{key}, 400, fault.Invalid, "the body is empty"},
		{"unknown field", "POST /v1/orders", `{"lines":[],"coupon":"x"}`, []string{key}, 400, fault.Invalid, `unknown field "coupon"`},
		{"trailing data", "POST /v1/orders", twoTea + twoTea, []string{key}, 400, fault.Invalid, "goes on after"},
		{"no lines", "POST /v1/orders", `{}`, []string{key}, 400, fault.Invalid, `"lines" is missing`},
		{"empty lines", "POST /v1/orders", `{"lines":[]}`, []string{key}, 400, fault.Invalid, `"lines" must not be empty`},
		{"101 lines", "POST /v1/orders", `{"lines":[` + strings.Repeat(`{"sku":"tea","quantity":1},`, 100) + `{"sku":"tea","quantity":1}]}`, []string{key}, 400, fault.Invalid, "at most 100 entries"},
		{"unknown SKU", "POST /v1/orders", `{"lines":[{"sku":"nope","quantity":1}]}`, []string{key}, 404, fault.NotFound, `"nope"`},
		{"unknown product", "GET /v1/products/nope", "", nil, 404, fault.NotFound, `"nope"`},
		{"unknown order", "GET /v1/orders/nope", "", nil, 404, fault.NotFound, `"nope"`},
		{"zero", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":0}]}`, []string{key}, 400, fault.Invalid, `"lines.0.quantity" must be at least 1`},
		{"negative", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":-1}]}`, []string{key}, 400, fault.Invalid, "must be at least 1"},
		{"huge", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":1000000}]}`, []string{key}, 400, fault.Invalid, "must be at most 1000"},
		{"astronomic", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":1e300}]}`, []string{key}, 400, fault.Invalid, "must be a whole number"},
		{"fraction", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":1.5}]}`, []string{key}, 400, fault.Invalid, "must be a whole number"},
		{"text", "POST /v1/orders", `{"lines":[{"sku":"tea","quantity":"2"}]}`, []string{key}, 400, fault.Invalid, "must be a whole number, not string"},
		{"no key", "POST /v1/orders", twoTea, nil, 400, fault.Invalid, "the header Idempotency-Key is missing"},
		{"empty key", "POST /v1/orders", twoTea, []string{"Idempotency-Key: "}, 400, fault.Invalid, "the header Idempotency-Key"},
		{"long key", "POST /v1/orders", twoTea, []string{key + strings.Repeat("1", 128)}, 400, fault.Invalid, "the header Idempotency-Key must have at most 128"},
		{"unprintable key", "POST /v1/orders", twoTea, []string{key + "\t1"}, 400, fault.Invalid, "the header Idempotency-Key must match"},
		{"foreign key", "POST /v1/orders", twoTea, []string{key + "é"}, 400, fault.Invalid, "the header Idempotency-Key must match"},
		{"2 MB", "POST /v1/orders", `{"lines":"` + strings.Repeat("a", 2<<20) + `"}`, []string{key}, 413, fault.TooLarge, "more than 65536 bytes"},
		{"form", "POST /v1/orders", "lines=1", []string{key, "Content-Type: application/x-www-form-urlencoded"}, 415, fault.UnsupportedMedia, "send application/json"},
		{"no content type", "POST /v1/orders", twoTea, []string{key, "Content-Type: "}, 415, fault.UnsupportedMedia, "Content-Type header is missing"},
		{"unknown path", "GET /v2/products", "", nil, 404, fault.NotFound, `nothing is served at "/v2/products"`},
		{"unknown method", "DELETE /v1/orders", "", nil, 405, fault.MethodNotAllowed, "use POST"},
		{"made-up method", "BREW /v1/products", "", nil, 405, fault.MethodNotAllowed, "use GET or HEAD"},
		{"method on the document", "POST /openapi.yaml", "", nil, 405, fault.MethodNotAllowed, "use GET or HEAD"},
		{"page size zero", "GET /v1/products?page_size=0", "", nil, 400, fault.Invalid, "the query parameter page_size must be at least 1"},
		{"page size word", "GET /v1/products?page_size=many", "", nil, 400, fault.Invalid, "the query parameter page_size must be a whole number"},
		{"page token", "GET /v1/products?page_token=x", "", nil, 400, fault.Invalid, "the page token is not one of ours"},
		{"broken query", "GET /v1/products?page_size=%zz", "", nil, 400, fault.Invalid, "the query of the URL is malformed"},
		{"SKU in no encoding", "GET /v1/products/%ff", "", nil, 400, fault.Invalid, "the sku in the path is not valid UTF-8"},
		{"long SKU", "GET /v1/products/" + strings.Repeat("a", 65), "", nil, 400, fault.Invalid, "the sku in the path must have at most 64"},
		{"sold out", "POST /v1/orders", `{"lines":[{"sku":"rum","quantity":2}]}`, []string{key}, 409, fault.Conflict, "only 1 unit"},
		{"declined", "POST /v1/orders", `{"lines":[{"sku":"gold","quantity":2}]}`, []string{key}, 402, fault.Declined, "another one"},
		{"limited", "POST /v1/orders", `{"lines":[{"sku":"busy","quantity":2}]}`, []string{key}, 429, fault.Limited, "slow down"},
		{"overloaded", "POST /v1/orders", `{"lines":[{"sku":"shed","quantity":2}]}`, []string{key}, 503, fault.Overloaded, "too much"},
		{"deadline", "POST /v1/orders", `{"lines":[{"sku":"late","quantity":2}]}`, []string{key}, 504, fault.Deadline, "the deadline passed"},
		{"our bug", "POST /v1/orders", `{"lines":[{"sku":"bug","quantity":2}]}`, []string{key}, 500, fault.Internal, "an internal error"},
		{"broken B3", "GET /v1/products/nope", "", []string{"b3: 463ac35c9f6413ad48485a3953bb6124-a2fb"}, 404, fault.NotFound, `"nope"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := call(h, tc.do, tc.body, tc.header...)
			var p rest.Problem
			if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&p); err != nil {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if w.Code != tc.status || p.Code != tc.code || !strings.Contains(p.Detail, tc.want) {
				t.Errorf("%d %+v, want %d %s ...%s", w.Code, p, tc.status, tc.code, tc.want)
			}
			if w.Header().Get("Content-Type") != rest.ProblemType || p.TraceID == "" || p.TraceID != w.Header().Get("X-Trace-Id") {
				t.Errorf("content type %q, trace %q and %q", w.Header().Get("Content-Type"), p.TraceID, w.Header().Get("X-Trace-Id"))
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("leaks: %s", w.Body)
			}
		})
	}
}

// TestReusedKey: the same key with another body is refused.
func TestReusedKey(t *testing.T) {
	h := open(t)
	call(h, "POST /v1/orders", twoTea, "Idempotency-Key: 1")
	w := call(h, "POST /v1/orders", strings.Replace(twoTea, "2", "3", 1), "Idempotency-Key: 1")
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"code":"key_reused"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLargeBodyOverTheWire: the sender of a body that is too large reads the
// problem instead of a broken connection.
func TestLargeBodyOverTheWire(t *testing.T) {
	base := wiretest.HTTP(t, open(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/orders", strings.NewReader(strings.Repeat(" ", 2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p rest.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || p.Code != fault.TooLarge {
		t.Errorf("%d %+v, %v", resp.StatusCode, p, err)
	}
}

// TestDocumentIsComplete: every route is in the document, and every operation
// of the document is a route.
func TestDocumentIsComplete(t *testing.T) {
	doc, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{"GET /openapi.yaml": true, "GET /docs/": true}
	for _, r := range Routes(endpoints.Set{}) {
		described[r.Pattern] = true
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !described[method+" "+path] {
				t.Errorf("the document describes %s %s, which is no route", method, path)
			}
			delete(described, method+" "+path)
		}
	}
	for pattern := range described {
		t.Errorf("the document does not describe %s", pattern)
	}
}
