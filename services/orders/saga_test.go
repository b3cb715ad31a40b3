package orders_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/orders"
)

func notFound(sku string) error { return fault.New(fault.NotFound, "there is no SKU %q", sku) }

func decode(t testing.TB, event []byte) (orders.Order, int) {
	t.Helper()
	var r struct {
		orders.Order
		Revision int `json:"revision"`
	}
	must(t, json.Unmarshal(event, &r))
	return r.Order, r.Revision
}

func request(key string, lines ...orders.Line) orders.PlaceRequest {
	if len(lines) == 0 {
		lines = []orders.Line{{SKU: "cup", Quantity: 2}, {SKU: "tea", Quantity: 1}}
	}
	return orders.PlaceRequest{Key: key, Lines: lines, TraceID: "trace-" + key}
}

func want(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %q", what, err, code)
	}
}

func TestPlaceOnce(t *testing.T) {
	s := newShop(t, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	s.background(saga.Run)
	ctx := t.Context()

	o, err := saga.Place(ctx, request("k1"))
	must(t, err)
	if o.Status != orders.Confirmed || o.Total.Amount != 3390 || o.Goods.Amount != 3000 || o.TraceID != "trace-k1" || o.PlacedAt.IsZero() {
		t.Errorf("placed %+v", o)
	}
	again, err := saga.Place(ctx, request("k1", orders.Line{SKU: "tea", Quantity: 1}, orders.Line{SKU: "cup", Quantity: 2}))
	must(t, err)
	if again.ID != o.ID || !again.PlacedAt.Equal(o.PlacedAt) {
		t.Errorf("the same key gave %+v, then %+v", o, again)
	}
	_, err = saga.Place(ctx, request("k1", orders.Line{SKU: "tea", Quantity: 9}))
	want(t, "another body", err, fault.KeyReused)
	_, err = orders.New(s.journal, s.ports, orders.Options{KeyLifetime: time.Nanosecond}).Place(ctx, request("k1", orders.Line{SKU: "tea", Quantity: 1}, orders.Line{SKU: "cup", Quantity: 2}))
	want(t, "a worn-out key", err, fault.KeyReused)

	got, err := saga.Get(ctx, orders.GetRequest{ID: o.ID})
	must(t, err)
	if got.Status != orders.Confirmed || got.ID != o.ID {
		t.Errorf("Get = %+v", got)
	}
	for _, id := range []string{"", "none", "a.b *>"} {
		_, err = saga.Get(ctx, orders.GetRequest{ID: id})
		want(t, "Get of "+id, err, fault.NotFound)
	}
	s.audit()
}

func TestRefusedBeforeAnythingIsWritten(t *testing.T) {
	s := newShop(t, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	long := string(make([]byte, 200))
	many := make([]orders.Line, orders.MaxLines+1)
	for name, tc := range map[string]struct {
		req  orders.PlaceRequest
		code fault.Code
	}{
		"no key":      {request(""), fault.Invalid},
		"long key":    {request(long), fault.Invalid},
		"no lines":    {orders.PlaceRequest{Key: "k"}, fault.Invalid},
		"many lines":  {request("k", many...), fault.Invalid},
		"no SKU":      {request("k", orders.Line{Quantity: 1}), fault.Invalid},
		"zero":        {request("k", orders.Line{SKU: "cup"}), fault.Invalid},
		"negative":    {request("k", orders.Line{SKU: "cup", Quantity: -1}), fault.Invalid},
		"huge":        {request("k", orders.Line{SKU: "cup", Quantity: 1 << 40}), fault.Invalid},
		"twice":       {request("k", orders.Line{SKU: "cup", Quantity: 1}, orders.Line{SKU: "cup", Quantity: 1}), fault.Invalid},
		"unknown SKU": {request("k", orders.Line{SKU: "nothing", Quantity: 1}), fault.NotFound},
	} {
		_, err := saga.Place(t.Context(), tc.req)
		want(t, name, err, tc.code)
	}
	if all := s.replay(); len(all) != 0 {
		t.Errorf("refused requests left %d orders", len(all))
	}
}

func TestCancelledFailsTheRequest(t *testing.T) {
	s := newShop(t, provider.Options{DeclineRate: 1})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	for range 2 { // and again on replay
		_, err := saga.Place(t.Context(), request("declined"))
		want(t, "declined", err, fault.Declined)
		_, err = saga.Place(t.Context(), request("gone", orders.Line{SKU: "cup", Quantity: 1}, orders.Line{SKU: "limited-pot", Quantity: 4}))
		want(t, "sold out", err, fault.Conflict)
	}
	for id, o := range s.final() {
		if o.Status != orders.Cancelled || o.Reason == "" || o.ReasonCode == "" {
			t.Errorf("order %s: %+v", id, o)
		}
	}
	s.audit()
}

// TestSameKeyEverywhere sends two bodies under one key, each from four callers
// on two instances at once: one body wins, its callers get the same order, with
// one effect of each kind, and everybody else is told that the key is taken.
func TestSameKeyEverywhere(t *testing.T) {
	s := newShop(t, provider.Options{ErrorAfterRate: 0.1, LoseReplyRate: 0.1})
	instances := []*orders.Saga{orders.New(s.journal, s.ports, orders.Options{}), orders.New(s.journal, s.ports, orders.Options{})}
	for _, saga := range instances {
		s.background(saga.Run)
	}
	for i := range 10 {
		var wg sync.WaitGroup
		var outcomes [8]string
		for caller := range 8 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				o, err := instances[caller/2%2].Place(ctx, request(fmt.Sprint("k", i), orders.Line{SKU: "cup", Quantity: 1 + caller%2}))
				outcomes[caller] = fmt.Sprint(o.ID, o.Status, fault.CodeOf(err))
			})
		}
		wg.Wait()
		taken := fmt.Sprint(orders.Order{}.ID, orders.Status(""), fault.KeyReused)
		for caller, got := range outcomes {
			mine, other := outcomes[caller%2], outcomes[1-caller%2]
			if got != mine || (mine == taken) == (other == taken) {
				t.Errorf("k%d: callers got %q", i, outcomes)
				break
			}
		}
	}
	if n := len(s.final()); n != 10 {
		t.Errorf("%d orders, want 10", n)
	}
	s.audit()
}

// TestDeadlineReturnsTheOrderAsItStands has payments hang: the request answers
// in time with the order unfinished, and Run finishes it.
func TestDeadlineReturnsTheOrderAsItStands(t *testing.T) {
	s := newShop(t, provider.Options{})
	slow := &hang{Payments: s.ports.Payments, release: make(chan struct{}), deadline: make(chan time.Time, 1)}
	s.ports.Payments = slow
	saga := orders.New(s.journal, s.ports, orders.Options{ResumeAfter: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o, err := saga.Place(ctx, request("k"))
	must(t, err)
	callers, _ := ctx.Deadline()
	if margin := callers.Sub(<-slow.deadline); margin < 20*time.Millisecond {
		t.Errorf("the saga leaves %s for the way back", margin)
	}
	if o.Status != orders.Reserved {
		t.Errorf("the order is %s, want reserved", o.Status)
	}
	close(slow.release)
	s.background(saga.Run)
	s.eventually("confirmation", func() bool {
		o, err := saga.Get(t.Context(), orders.GetRequest{ID: o.ID})
		return err == nil && o.Status == orders.Confirmed
	})
	s.audit()
}

type hang struct {
	orders.Payments
	release  chan struct{}
	deadline chan time.Time // of the first call
}

func (h *hang) Authorise(ctx context.Context, id string, amount orders.Money) error {
	if d, ok := ctx.Deadline(); ok {
		select {
		case h.deadline <- d:
		default:
		}
	}
	select {
	case <-h.release:
		return h.Payments.Authorise(ctx, id, amount)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poisoned fails unexpectedly at one step of some orders, for ever.
type poisoned struct {
	orders.Shipping
	orders.Inventory
	at string
}

func (p poisoned) fail(step string) error {
	if step != p.at {
		return nil
	}
	if step == "commit" {
		panic("poison")
	}
	return errors.New("poison")
}

func (p poisoned) Dispatch(ctx context.Context, id string, l []orders.Line) error {
	return errors.Join(p.fail("dispatch"), p.Shipping.Dispatch(ctx, id, l))
}

func (p poisoned) Commit(ctx context.Context, id string, l []orders.Line) error {
	return errors.Join(p.fail("commit"), p.Inventory.Commit(ctx, id, l))
}

func (p poisoned) Release(ctx context.Context, id string, l []orders.Line) error {
	return errors.Join(p.fail("release"), p.Inventory.Release(ctx, id, l))
}

func TestPoisonedOrdersEnd(t *testing.T) {
	for _, tc := range []struct {
		at     string
		status orders.Status
	}{
		{"dispatch", orders.Cancelled}, // undone: nobody was charged
		{"commit", orders.Failed},      // charged: only forward, and forward is broken
		{"release", orders.Failed},     // neither forward nor back
	} {
		s := newShop(t, provider.Options{})
		p := poisoned{s.ports.Shipping, s.ports.Inventory, tc.at}
		ports := s.ports
		ports.Shipping, ports.Inventory = p, p
		lines := []orders.Line{{SKU: "cup", Quantity: 1}}
		if tc.at == "release" {
			lines = []orders.Line{{SKU: "limited-pot", Quantity: 5}}
		}
		saga := orders.New(s.journal, ports, orders.Options{ResumeAfter: 50 * time.Millisecond, MaxFailures: 3})
		s.background(saga.Run)
		_, _ = saga.Place(t.Context(), request("k", lines...))
		for _, o := range s.final() {
			if o.Status != tc.status || o.Reason == "" || o.ReasonCode == "" {
				t.Errorf("poison at %s: %+v, want %s with a reason", tc.at, o, tc.status)
			}
		}
	}
}

// TestWhatIsWritten: the steps after which somebody else could go on just as well
// cost no event, unless the order is slow and would be taken for abandoned.
func TestWhatIsWritten(t *testing.T) {
	s := newShop(t, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	_, err := saga.Place(t.Context(), request("fast"))
	must(t, err)
	s.ports.Payments = slowCard{s.ports.Payments}
	saga = orders.New(s.journal, s.ports, orders.Options{})
	_, err = saga.Place(t.Context(), request("slow"))
	must(t, err)
	written := map[string][]orders.Status{}
	must(t, s.journal.Replay(t.Context(), 1, func(e broker.Stored) {
		o, _ := decode(t, e.Data)
		written[e.Key] = append(written[e.Key], o.Status)
	}))
	var got []string
	for _, statuses := range written {
		got = append(got, fmt.Sprint(statuses))
	}
	slices.Sort(got)
	want := []string{"[placed reserved authorised dispatched captured confirmed]", "[placed reserved dispatched confirmed]"}
	if !slices.Equal(got, want) {
		t.Errorf("written: %q, want %q", got, want)
	}
	s.audit()
}

// TestNobodyIsKeptWaiting: while payments are away an order is returned as it
// stands, long before the deadline, and ends when they are back.
func TestNobodyIsKeptWaiting(t *testing.T) {
	s := newShop(t, provider.Options{})
	away := s.ports
	away.Payments = closedTill{s.ports.Payments}
	for name, options := range map[string]orders.Options{
		"no time left": {AnswerWithin: 100 * time.Millisecond},
		"no use":       {AnswerWithin: time.Hour},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		began := time.Now()
		o, err := orders.New(s.journal, away, options).Place(ctx, request(name))
		must(t, err)
		if took := time.Since(began); o.Status != orders.Reserved || took > 10*time.Second {
			t.Errorf("%s: %s after %v, want it reserved", name, o.Status, took)
		}
		cancel()
	}
	back := orders.New(s.journal, s.ports, orders.Options{ResumeAfter: 50 * time.Millisecond})
	s.background(back.Run)
	for _, o := range s.final() {
		if o.Status != orders.Confirmed {
			t.Errorf("%+v, want it confirmed", o)
		}
	}
	s.audit()
}

// closedTill answers nobody.
type closedTill struct{ orders.Payments }

func (closedTill) Authorise(context.Context, string, orders.Money) error {
	return fault.New(fault.Unavailable, "payments are away")
}

// slowCard takes longer than an order may be without news.
type slowCard struct{ orders.Payments }

func (p slowCard) Authorise(ctx context.Context, id string, amount orders.Money) error {
	time.Sleep(510 * time.Millisecond)
	return p.Payments.Authorise(ctx, id, amount)
}

func (p slowCard) Capture(ctx context.Context, id string) error {
	time.Sleep(510 * time.Millisecond)
	return p.Payments.Capture(ctx, id)
}

func TestListNewestFirst(t *testing.T) {
	s := newShop(t, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	s.background(saga.Run)
	var ids []string
	for i := range 5 {
		o, err := saga.Place(t.Context(), request(fmt.Sprint("k", i)))
		must(t, err)
		ids = append([]string{o.ID}, ids...)
	}
	s.eventually("all orders listed", func() bool {
		p, err := saga.List(t.Context(), orders.ListRequest{})
		return err == nil && len(p.Orders) == 5 && p.Orders[0].Status == orders.Confirmed
	})
	var got []string
	req := orders.ListRequest{PageSize: 2}
	for pages := 0; pages == 0 || req.PageToken != ""; pages++ {
		p, err := saga.List(t.Context(), req)
		must(t, err)
		for _, o := range p.Orders {
			got = append(got, o.ID)
		}
		req.PageToken = p.NextPageToken
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("listed %v, want %v", got, ids)
	}
	for _, bad := range []orders.ListRequest{{PageSize: -1}, {PageSize: 101}, {PageToken: "!"}, {PageToken: "0"}} {
		_, err := saga.List(t.Context(), bad)
		want(t, fmt.Sprintf("List %+v", bad), err, fault.Invalid)
	}
}
