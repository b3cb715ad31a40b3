package shipping_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/shipping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %q", what, err, code)
	}
}

type stub struct {
	value shipping.Money
	err   error
}

func (s stub) Value(context.Context, []shipping.Line) (shipping.Money, error) { return s.value, s.err }

func journals(t *testing.T) (shipments, orders *broker.Journal) {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	c, err := broker.Connect(t.Context(), b.URL(), broker.Options{})
	must(t, err)
	t.Cleanup(c.Close)
	shipments, err = c.Journal(t.Context(), "shipments")
	must(t, err)
	orders, err = c.Journal(t.Context(), "orders")
	must(t, err)
	return shipments, orders
}

var lines = []shipping.Line{{SKU: "cup", Quantity: 2}}

func dispatch(t *testing.T, d *shipping.Desk, id string) (shipping.Shipment, error) {
	t.Helper()
	return d.Dispatch(t.Context(), shipping.DispatchRequest{OrderID: id, Lines: lines})
}

func cancel(t *testing.T, d *shipping.Desk, id string) (shipping.Shipment, error) {
	t.Helper()
	return d.Cancel(t.Context(), shipping.CancelRequest{OrderID: id})
}

func TestQuoteAsksPricing(t *testing.T) {
	d := shipping.New(nil, nil, stub{value: shipping.Money{Amount: 1000, Currency: "EUR"}}, nil)
	q, err := d.Quote(t.Context(), shipping.QuoteRequest{Lines: lines})
	must(t, err)
	if q.Cost.Amount <= 0 || q.Days <= 0 {
		t.Errorf("quote %+v", q)
	}
	d = shipping.New(nil, nil, stub{value: shipping.Money{Amount: 1_000_000, Currency: "EUR"}}, nil)
	if q, err = d.Quote(t.Context(), shipping.QuoteRequest{Lines: lines}); err != nil || q.Cost.Amount != 0 {
		t.Errorf("a dear basket: %+v, %v; want free delivery", q, err)
	}
	_, err = d.Quote(t.Context(), shipping.QuoteRequest{})
	want(t, "no lines", err, fault.Invalid)
	d = shipping.New(nil, nil, stub{err: fault.New(fault.NotFound, "no such SKU")}, nil)
	_, err = d.Quote(t.Context(), shipping.QuoteRequest{Lines: lines})
	want(t, "an unknown SKU", err, fault.NotFound)
}

func TestDispatchAndCancel(t *testing.T) {
	shipments, orders := journals(t)
	a, b := shipping.New(shipments, orders, stub{}, nil), shipping.New(shipments, orders, stub{}, nil)
	first, err := dispatch(t, a, "o1")
	must(t, err)
	again, err := dispatch(t, b, "o1")
	must(t, err)
	if first.ID == "" || first.Status != shipping.Booked || again.ID != first.ID || !again.BookedAt.Equal(first.BookedAt) {
		t.Errorf("dispatched %+v, then %+v", first, again)
	}
	for _, d := range []*shipping.Desk{a, b} {
		s, err := cancel(t, d, "o1")
		must(t, err)
		if s.Status != shipping.Cancelled || s.ID != first.ID {
			t.Errorf("cancelled %+v", s)
		}
		_, err = dispatch(t, d, "o1")
		want(t, "dispatch after the cancellation", err, fault.Conflict)
	}
	_, err = cancel(t, a, "o2")
	must(t, err)
	_, err = dispatch(t, b, "o2")
	want(t, "dispatch after a cancellation of nothing", err, fault.Conflict)
	_, err = dispatch(t, a, "")
	want(t, "no order", err, fault.Invalid)
	_, err = cancel(t, a, string(make([]byte, 200)))
	want(t, "a long id", err, fault.Invalid)
	_, err = a.Dispatch(t.Context(), shipping.DispatchRequest{OrderID: "o3"})
	want(t, "no lines", err, fault.Invalid)
}

// TestConfirmedOrdersLeave feeds order events: each confirmed order's parcel
// leaves once its shipment is there, whatever else is in the journal.
func TestConfirmedOrdersLeave(t *testing.T) {
	shipments, orders := journals(t)
	d := shipping.New(shipments, orders, stub{}, nil)
	put := func(id, kind string, event any) {
		t.Helper()
		data, err := json.Marshal(event)
		must(t, err)
		_, seq, err := orders.Last(t.Context(), id)
		if fault.CodeOf(err) != fault.NotFound {
			must(t, err)
		}
		_, err = orders.Append(t.Context(), id, kind, data, seq)
		must(t, err)
	}
	confirmed := func(id string) any {
		return map[string]any{"id": id, "status": "confirmed", "updated_at": time.Now(), "lines": lines}
	}
	_, err := dispatch(t, d, "o1")
	must(t, err)
	put("odd", "confirmed", "not an object")
	put("o1", "on-way", map[string]any{"id": "o1", "status": "dispatched"})
	put("o1", "confirmed", confirmed("o1"))
	put("early", "confirmed", confirmed("early")) // its shipment comes later
	_, err = dispatch(t, d, "o2")
	must(t, err)
	put("o2", "on-way", map[string]any{"id": "o2", "status": "captured"})

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	shipped := func(id string) func() bool {
		return func() bool {
			s, err := dispatch(t, d, id) // also the test of Dispatch after the parcel left
			return err == nil && s.Status == shipping.Shipped
		}
	}
	eventually(t, "o1 has left", shipped("o1"))
	eventually(t, "the early one has left, too", shipped("early"))
	_, err = cancel(t, d, "o1")
	want(t, "cancel after the parcel left", err, fault.Conflict)
	if s, err := dispatch(t, d, "o2"); err != nil || s.Status != shipping.Booked {
		t.Errorf("o2 is not confirmed and is %+v, %v", s, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
