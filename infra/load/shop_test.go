package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeShop answers like the gateway; hooks change what a test is about.
type fakeShop struct {
	*httptest.Server
	before func(w http.ResponseWriter, r *http.Request) (done bool)

	mu        sync.Mutex
	skus      []string
	available map[string]int
	keys      map[string]int // orders by key
	orders    map[string]order
	ordered   map[string]int // units by SKU
	lose      func(id string) bool
	sameID    bool
}

func newFakeShop(t *testing.T, skus ...string) *fakeShop {
	t.Helper()
	if len(skus) == 0 {
		skus = []string{"cup-1", "lamp-2", "sofa-3", "limited-4"}
	}
	f := &fakeShop{
		skus: skus, available: map[string]int{}, keys: map[string]int{},
		orders: map[string]order{}, ordered: map[string]int{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/products", f.list)
	mux.HandleFunc("GET /v1/products/{sku}", f.product)
	mux.HandleFunc("POST /v1/orders", f.place)
	mux.HandleFunc("GET /v1/orders/{id}", f.get)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Trace-Id", "00000000000000aa")
		if f.before != nil && f.before(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeShop) list(w http.ResponseWriter, r *http.Request) {
	type product struct {
		SKU string `json:"sku"`
	}
	answer := struct {
		Products      []product `json:"products"`
		NextPageToken string    `json:"next_page_token,omitempty"`
	}{}
	half := (len(f.skus) + 1) / 2
	part := f.skus[:half]
	if r.URL.Query().Get("page_token") == "half" {
		part = f.skus[half:]
	} else if half < len(f.skus) {
		answer.NextPageToken = "half"
	}
	for _, sku := range part {
		answer.Products = append(answer.Products, product{sku})
	}
	write(w, http.StatusOK, answer)
}

func (f *fakeShop) product(w http.ResponseWriter, r *http.Request) {
	page := map[string]any{"sku": r.PathValue("sku")}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, known := f.available[r.PathValue("sku")]; known {
		page["available"] = n
	}
	write(w, http.StatusOK, page)
}

func (f *fakeShop) place(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		problem(w, http.StatusBadRequest, "invalid")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[r.Header.Get("Idempotency-Key")]++
	for _, l := range o.Lines {
		f.ordered[l.SKU] += l.Quantity
		if n, known := f.available[l.SKU]; known && n < l.Quantity {
			problem(w, http.StatusConflict, "conflict")
			return
		}
	}
	o.ID, o.Status, o.Total.Amount = fmt.Sprintf("o-%d", len(f.orders)+1), "confirmed", 4200
	if f.sameID {
		o.ID = "o-1"
	}
	f.orders[o.ID] = o
	write(w, http.StatusCreated, o)
}

func (f *fakeShop) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.orders[r.PathValue("id")]
	if !ok || (f.lose != nil && f.lose(o.ID)) {
		problem(w, http.StatusNotFound, "not_found")
		return
	}
	write(w, http.StatusOK, o)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code})
}

func isProduct(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/products/") }

// peek reads a body and puts it back.
func peek(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(data))
	return data, err
}
