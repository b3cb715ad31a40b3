package gateway_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
)

var shelf = []gateway.Item{mug, {SKU: "pot", Name: "Pot", Category: "teaware"}, {SKU: "tea", Name: "Tea", Category: "tea"}}

func TestBrowse(t *testing.T) {
	price := func(cents int64) *gateway.Money { return &gateway.Money{Amount: cents, Currency: "EUR"} }
	s := shop{items: shelf, prices: []gateway.Money{*price(100), *price(200), *price(300)}}
	got, err := gateway.New(s.ports(), gateway.Options{}).Browse(t.Context(), gateway.BrowseRequest{PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := gateway.Listing{NextPageToken: "next", Products: []gateway.ListedProduct{
		{SKU: "mug", Name: "Mug", Category: "cups", Price: price(100)},
		{SKU: "pot", Name: "Pot", Category: "teaware", Price: price(200)},
		{SKU: "tea", Name: "Tea", Category: "tea", Price: price(300)},
	}}
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("got %s, want %s", g, w)
	}
	if len(s.asked) != 1 || !slices.Equal(s.asked[0], []string{"mug", "pot", "tea"}) {
		t.Errorf("pricing was asked %v; once for all is enough", s.asked)
	}
}

func TestBrowseWithoutPrices(t *testing.T) {
	for name, c := range map[string]struct {
		shop *shop
		took time.Duration
	}{
		"down":           {&shop{pricing: dependency{err: fault.New(fault.Unavailable, "nobody")}}, 0},
		"slow":           {&shop{pricing: dependency{takes: time.Hour}}, 250 * time.Millisecond},
		"one unknown":    {&shop{pricing: dependency{err: fault.New(fault.NotFound, "no price")}}, 0},
		"panics":         {&shop{pricing: dependency{panics: "boom"}}, 0},
		"too few prices": {&shop{prices: make([]gateway.Money, 2)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.shop.items = shelf
				begin := time.Now()
				got, err := gateway.New(c.shop.ports(), gateway.Options{}).Browse(t.Context(), gateway.BrowseRequest{PageSize: 3})
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Products) != 3 || got.NextPageToken != "next" || !slices.Equal(got.Partial, []string{"price"}) {
					t.Errorf("got %s", asJSON(t, got))
				}
				for _, p := range got.Products {
					if p.Price != nil {
						t.Errorf("%s has a price", p.SKU)
					}
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func TestBrowseFails(t *testing.T) {
	for name, c := range map[string]struct {
		catalog dependency
		code    fault.Code
	}{
		"bad token": {dependency{err: fault.New(fault.Invalid, "page_token is not one of ours")}, fault.Invalid},
		"down":      {dependency{err: fault.New(fault.Unavailable, "nobody")}, fault.Unavailable},
		"slow":      {dependency{takes: time.Hour}, fault.Deadline},
		"panics":    {dependency{panics: "boom"}, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := shop{catalog: c.catalog}
				if _, err := gateway.New(s.ports(), gateway.Options{}).Browse(t.Context(), gateway.BrowseRequest{}); fault.CodeOf(err) != c.code {
					t.Errorf("got %v, want %s", err, c.code)
				}
				if len(s.asked) != 0 {
					t.Error("pricing was asked for nothing")
				}
			})
		})
	}
}

func TestBrowseEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shop{items: shelf, pricing: dependency{takes: time.Hour}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got, err := gateway.New(s.ports(), gateway.Options{}).Browse(ctx, gateway.BrowseRequest{PageSize: 3}); fault.CodeOf(err) != fault.Deadline {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestBrowsePastTheEnd(t *testing.T) {
	s := shop{items: shelf}
	got, err := gateway.New(s.ports(), gateway.Options{}).Browse(t.Context(), gateway.BrowseRequest{PageToken: "last"})
	if err != nil || asJSON(t, got) != `{"products":[]}` {
		t.Errorf("got %s, %v", asJSON(t, got), err)
	}
	if len(s.asked) != 0 {
		t.Error("pricing was asked for nothing")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
