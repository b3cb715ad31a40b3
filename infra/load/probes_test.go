package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestProbesTestThePromises: some buyers use a key again and some browsers read
// an order; the shop's refusals, where they are promised, are no failures.
func TestProbesTestThePromises(t *testing.T) {
	shop := newFakeShop(t)
	bodies := map[string]string{} // by key; the fake shop does not keep them
	shop.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		var asked struct{ Lines []Line }
		data, _ := peek(r)
		_ = json.Unmarshal(data, &asked)
		key := r.Header.Get("Idempotency-Key")
		shop.mu.Lock()
		defer shop.mu.Unlock()
		first, known := bodies[key]
		if known && first != fmt.Sprint(asked.Lines) {
			problem(w, http.StatusUnprocessableEntity, "key_reused")
			return true
		}
		bodies[key] = fmt.Sprint(asked.Lines)
		return false
	}
	var lines bytes.Buffer
	r := mustRun(t, Options{URL: shop.URL, Rate: 300, Duration: time.Second, Seed: 4, Probes: 0.5, Mix: Mix{{Browse, 50}, {Checkout, 50}}, History: &lines})
	if r.Success != 1 || r.Business["key_reused"] == 0 {
		t.Errorf("success %v, failures %v, business %v", r.Success, r.Failures, r.Business)
	}
	h, err := ReadHistory(&lines)
	if err != nil || !h.Whole {
		t.Fatalf("whole %v, %v", h.Whole, err)
	}
	asked := map[string][]string{}
	reads, fresh := 0, int64(0)
	for _, op := range h.Ops {
		switch op.Op {
		case "place":
			if len(asked[op.IdemKey]) == 0 {
				fresh++
			}
			asked[op.IdemKey] = append(asked[op.IdemKey], op.BodyHash)
			units := 0
			for _, l := range op.Lines {
				units += l.Quantity
			}
			if op.Quantity != units || units == 0 {
				t.Errorf("qty %d of %+v", op.Quantity, op.Lines)
			}
		case "get":
			reads++
			if op.OrderID == "" || len(op.Answer) == 0 || op.OrderStatus != "confirmed" {
				t.Errorf("bad read %+v", op)
			}
		}
		if op.Intended == 0 || op.Intended > op.Call {
			t.Errorf("due at %d, called at %d", op.Intended, op.Call)
		}
	}
	same, other := 0, 0
	for _, hashes := range asked {
		for _, hash := range hashes[1:] {
			if hash == hashes[0] {
				same++
			} else {
				other++
			}
		}
	}
	if same < 10 || other < 10 || reads < 20 {
		t.Errorf("%d repeated, %d with another body, %d reads", same, other, reads)
	}
	if r.Orders != fresh {
		t.Errorf("%d orders counted of %d fresh keys: probes are no sales", r.Orders, fresh)
	}
}

// TestNoProbesUnasked: a plain load uses each key once and reads no orders.
func TestNoProbesUnasked(t *testing.T) {
	shop := newFakeShop(t)
	var lines bytes.Buffer
	mustRun(t, Options{URL: shop.URL, Rate: 100, Duration: 500 * time.Millisecond, Mix: checkoutOnly(), History: &lines})
	h, err := ReadHistory(&lines)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, op := range h.Ops {
		if op.Op != "place" || seen[op.IdemKey] {
			t.Errorf("unasked: %+v", op)
		}
		seen[op.IdemKey] = true
	}
}

// TestReadHistory: a run that was killed may end anywhere, but nothing may be
// missing before.
func TestReadHistory(t *testing.T) {
	const op, end = `{"op":"get","call_ns":1,"return_ns":2}` + "\n", `{"op":"end"}` + "\n"
	for _, tc := range []struct {
		name, text string
		ops        int
		whole, bad bool
	}{
		{"whole", op + op + end, 2, true, false},
		{"empty", "", 0, false, false},
		{"without an end", op + op, 2, false, false},
		{"torn", op + op[:20], 1, false, false},
		{"a torn end", op + end[:5], 1, false, false},
		{"damaged in the middle", op + "{}}\n" + op + end, 0, false, true},
		{"something else", `{"hello":1}` + "\n", 0, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := ReadHistory(strings.NewReader(tc.text))
			if (err != nil) != tc.bad {
				t.Fatalf("error %v", err)
			}
			if !tc.bad && (len(h.Ops) != tc.ops || h.Whole != tc.whole) {
				t.Errorf("%d operations, whole %v", len(h.Ops), h.Whole)
			}
		})
	}
}

func TestOnlySomeProducts(t *testing.T) {
	shop := newFakeShop(t)
	var lines bytes.Buffer
	only := []string{"cup-1", "sofa-3"}
	mustRun(t, Options{URL: shop.URL, Rate: 100, Duration: 300 * time.Millisecond, Only: only, History: &lines})
	h, err := ReadHistory(&lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range h.Ops {
		for _, l := range append(op.Lines, Line{SKU: op.SKU}) {
			if l.SKU != "" && !slices.Contains(only, l.SKU) {
				t.Errorf("%s was not wanted", l.SKU)
			}
		}
	}
	if _, err := Run(t.Context(), Options{URL: shop.URL, Duration: time.Second, Wait: time.Second, Only: []string{"no-such"}}); err == nil {
		t.Error("a product that is not there was taken")
	}
}
