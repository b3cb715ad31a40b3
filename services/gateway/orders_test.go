package gateway_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
)

func order(status string) gateway.Order {
	eur := func(cents int64) gateway.Money { return gateway.Money{Amount: cents, Currency: "EUR"} }
	return gateway.Order{
		ID: "o-1", Status: status, Lines: []gateway.Line{{SKU: "mug", Quantity: 2}},
		Goods: eur(1980), Shipping: eur(390), Total: eur(2370), Reason: "because",
		PlacedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), TraceID: "abc",
	}
}

func TestPlaceOrder(t *testing.T) {
	s := shop{order: order("confirmed")}
	req := gateway.PlaceOrderRequest{Key: "k-1", TraceID: "abc", Lines: []gateway.Line{{SKU: "mug", Quantity: 2}}}
	got, err := gateway.New(s.ports(), gateway.Options{}).PlaceOrder(t.Context(), req)
	if err != nil || !reflect.DeepEqual(got, order("confirmed")) {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(s.placed) != 1 || !reflect.DeepEqual(s.placed[0], req) {
		t.Errorf("orders received %+v, want %+v once", s.placed, req)
	}
}

// Both ways to see an order use the same words for every step of the saga.
func TestStatusInTheCustomersWords(t *testing.T) {
	for saga, want := range map[string]string{
		"placed": "pending", "reserved": "pending", "authorised": "pending", "dispatched": "pending",
		"captured": "pending", "cancelling": "pending",
		"confirmed": "confirmed", "cancelled": "cancelled", "failed": "failed",
		"gift-wrapping": "pending", "": "pending",
	} {
		s := shop{order: order(saga)}
		g := gateway.New(s.ports(), gateway.Options{})
		placed, err := g.PlaceOrder(t.Context(), gateway.PlaceOrderRequest{Key: "k", Lines: []gateway.Line{{SKU: "mug", Quantity: 2}}})
		if err != nil || !reflect.DeepEqual(placed, order(want)) {
			t.Errorf("placed %q: got %+v, %v", saga, placed, err)
		}
		read, err := g.GetOrder(t.Context(), gateway.GetOrderRequest{ID: "o-1"})
		if err != nil || !reflect.DeepEqual(read, order(want)) {
			t.Errorf("read %q: got %+v, %v", saga, read, err)
		}
	}
}

func TestPlaceOrderRefuses(t *testing.T) {
	lines := func(n int) []gateway.Line {
		all := make([]gateway.Line, n)
		for i := range all {
			all[i] = gateway.Line{SKU: fmt.Sprintf("sku-%d", i), Quantity: 1}
		}
		return all
	}
	one := func(sku string, quantity int) []gateway.Line { return []gateway.Line{{SKU: sku, Quantity: quantity}} }
	for name, c := range map[string]struct {
		key   string
		lines []gateway.Line
		says  string // "" means it is accepted
	}{
		"plain":            {"k", lines(1), ""},
		"longest key":      {strings.Repeat("k", 128), lines(1), ""},
		"all printable":    {" !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", lines(1), ""},
		"most lines":       {"k", lines(100), ""},
		"most units":       {"k", one("mug", 1000), ""},
		"no key":           {"", lines(1), "Idempotency-Key is missing"},
		"long key":         {strings.Repeat("k", 129), lines(1), "Idempotency-Key has 129 characters; use at most 128"},
		"control":          {"a\nb", lines(1), `Idempotency-Key contains '\n'`},
		"delete":           {"a\x7f", lines(1), "Idempotency-Key contains"},
		"umlaut":           {"schlüssel", lines(1), "printable ASCII only"},
		"no lines":         {"k", nil, "1 to 100 lines, this one has 0"},
		"too many lines":   {"k", lines(101), "this one has 101"},
		"no SKU":           {"k", one("", 1), "line 1: the SKU is empty"},
		"zero":             {"k", one("mug", 0), "line 1: the quantity is 0; use 1 to 1000"},
		"negative":         {"k", append(lines(1), one("mug", -1)...), "line 2: the quantity is -1"},
		"too many units":   {"k", one("mug", 1001), "the quantity is 1001"},
		"duplicate SKU":    {"k", append(lines(3), one("sku-1", 1)...), `lines 2 and 4 are both "sku-1"; put all units on one line`},
		"huge SKU, twice":  {"k", append(one(strings.Repeat("x", 1<<16), 1), one(strings.Repeat("x", 1<<16), 1)...), "put all units on one line"},
		"bad key and line": {"", nil, "Idempotency-Key is missing"},
	} {
		s := shop{order: order("confirmed")}
		_, err := gateway.New(s.ports(), gateway.Options{}).PlaceOrder(t.Context(), gateway.PlaceOrderRequest{Key: c.key, Lines: c.lines})
		if c.says == "" {
			if err != nil || len(s.placed) != 1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(fault.MessageOf(err), c.says) || len(fault.MessageOf(err)) > 300 {
			t.Errorf("%s: got %.300v, want invalid: %s", name, err, c.says)
		}
		if len(s.placed) != 0 {
			t.Errorf("%s: orders was asked", name)
		}
	}
}

// The codes of orders reach the customer, whatever the gateway adds.
func TestOrderFaults(t *testing.T) {
	for _, code := range fault.Codes() {
		if code == fault.Deadline {
			continue // has a sentence of the gateway; see below
		}
		s := shop{orders: dependency{err: fault.New(code, "said by orders")}}
		g := gateway.New(s.ports(), gateway.Options{})
		_, err := g.PlaceOrder(t.Context(), gateway.PlaceOrderRequest{Key: "k", Lines: []gateway.Line{{SKU: "mug", Quantity: 1}}})
		if fault.CodeOf(err) != code || fault.MessageOf(err) != "said by orders" {
			t.Errorf("place, %s: %v", code, err)
		}
		if _, err := g.GetOrder(t.Context(), gateway.GetOrderRequest{ID: "o-1"}); fault.CodeOf(err) != code || fault.MessageOf(err) != "said by orders" {
			t.Errorf("get, %s: %v", code, err)
		}
	}
}

func TestOrdersTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shop{orders: dependency{takes: time.Hour}}
		begin := time.Now()
		_, err := gateway.New(s.ports(), gateway.Options{}).PlaceOrder(t.Context(), gateway.PlaceOrderRequest{Key: "k", Lines: []gateway.Line{{SKU: "mug", Quantity: 1}}})
		if fault.CodeOf(err) != fault.Deadline || !strings.Contains(fault.MessageOf(err), "same Idempotency-Key") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestGetOrder(t *testing.T) {
	g := gateway.New((&shop{order: order("confirmed")}).ports(), gateway.Options{})
	if _, err := g.GetOrder(t.Context(), gateway.GetOrderRequest{ID: "o-2"}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("unknown: %v", err)
	}
	if _, err := g.GetOrder(t.Context(), gateway.GetOrderRequest{}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("empty: %v", err)
	}
}

func TestOrderWithoutLinesIsAnEmptyList(t *testing.T) {
	g := gateway.New((&shop{order: gateway.Order{ID: "o-1", Status: "failed"}}).ports(), gateway.Options{})
	got, err := g.GetOrder(t.Context(), gateway.GetOrderRequest{ID: "o-1"})
	if err != nil || got.Lines == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
