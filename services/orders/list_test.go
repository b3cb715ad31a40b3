package orders_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/orders"
)

// write appends the next event of an order, bypassing the saga.
func (s *shop) write(id, kind string, status orders.Status, revision int, after uint64) uint64 {
	s.t.Helper()
	event, err := json.Marshal(map[string]any{"id": id, "status": status, "revision": revision})
	must(s.t, err)
	seq, err := s.journal.Append(s.t.Context(), id, kind, event, after)
	must(s.t, err)
	return seq
}

// pages lists everything, size at a time, and calls between before each further
// page.
func pages(t *testing.T, saga *orders.Saga, size int, between func()) (ids []string) {
	t.Helper()
	req := orders.ListRequest{PageSize: size}
	for {
		p, err := saga.List(t.Context(), req)
		must(t, err)
		if len(p.Orders) > size {
			t.Fatalf("a page of %d has %d orders", size, len(p.Orders))
		}
		for _, o := range p.Orders {
			ids = append(ids, o.ID)
		}
		if req.PageToken = p.NextPageToken; req.PageToken == "" {
			return ids
		}
		between()
	}
}

// TestListReadsTheJournal lists on an instance that never ran: it needs no copy
// of the orders. Some orders are far apart, and new ones come between the pages.
func TestListReadsTheJournal(t *testing.T) {
	s := newShop(t, provider.Options{})
	saga := orders.New(s.journal, s.ports, orders.Options{})
	if p, err := saga.List(t.Context(), orders.ListRequest{}); err != nil || len(p.Orders) != 0 || p.NextPageToken != "" {
		t.Fatalf("no orders are listed as %+v, %v", p, err)
	}
	var want []string
	place := func(n int) {
		for range n {
			id := fmt.Sprint("o", len(want))
			s.write(id, "placed", orders.Placed, 1, 0)
			want = append([]string{id}, want...)
		}
	}
	place(5)
	after := s.write("busy", "placed", orders.Placed, 1, 0)
	want = append([]string{"busy"}, want...)
	for i := range 400 { // many events between two orders
		after = s.write("busy", "on-way", orders.Reserved, i+2, after)
	}
	place(7)
	s.write("busy", "confirmed", orders.Confirmed, 402, after)
	for _, size := range []int{1, 2, 3, 12, 13, 14, 100} {
		if got := pages(t, saga, size, func() {}); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", size, got, want)
		}
	}
	old := slices.Clone(want)
	if got := pages(t, saga, 4, func() { place(1) }); !slices.Equal(got, old) {
		t.Errorf("with new orders between the pages: %v, want %v", got, old)
	}
	p, err := saga.List(t.Context(), orders.ListRequest{PageSize: 100})
	must(t, err)
	for _, o := range p.Orders {
		if o.ID == "busy" && o.Status != orders.Confirmed || o.ID != "busy" && o.Status != orders.Placed {
			t.Errorf("order %s is listed as %s", o.ID, o.Status)
		}
	}
	// A sequence that is not there yet means the newest ones.
	p, err = saga.List(t.Context(), orders.ListRequest{PageSize: 1, PageToken: "zzzzzzzzzzzz"})
	if err != nil || len(p.Orders) != 1 || p.Orders[0].ID != want[0] {
		t.Errorf("beyond the end: %+v, %v", p, err)
	}
}
