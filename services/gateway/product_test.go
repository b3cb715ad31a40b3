package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/gateway"
)

var mug = gateway.Item{SKU: "mug", Name: "Mug", Description: "Holds tea.", Category: "cups", Tagline: "Round."}

func wholePage() gateway.ProductPage {
	stock := 5
	return gateway.ProductPage{
		SKU: "mug", Name: "Mug", Description: "Holds tea.", Category: "cups", Tagline: "Round.",
		Price: &gateway.Money{Amount: 990, Currency: "EUR"}, Available: &stock,
		Shipping: &gateway.ShippingEstimate{Cost: gateway.Money{Amount: 390, Currency: "EUR"}, Days: 2},
	}
}

// without returns the whole page less the given parts.
func without(parts ...string) gateway.ProductPage {
	page := wholePage()
	for _, part := range parts {
		switch part {
		case "price":
			page.Price = nil
		case "stock":
			page.Available = nil
		case "shipping":
			page.Shipping = nil
		}
	}
	page.Partial = parts
	return page
}

// Each case runs on a clock of its own: the time a page took is exact, and a
// goroutine that is left behind fails the test.
func TestProduct(t *testing.T) {
	var (
		never   = dependency{takes: time.Hour}
		down    = dependency{err: fault.New(fault.Unavailable, "nobody there")}
		unknown = dependency{err: fault.New(fault.NotFound, "no such SKU")}
		ms      = time.Millisecond
	)
	for name, c := range map[string]struct {
		shop    *shop
		options gateway.Options
		want    gateway.ProductPage
		took    time.Duration
	}{
		"all well":        {&shop{}, gateway.Options{}, wholePage(), 0},
		"all at once":     {&shop{catalog: dependency{takes: 100 * ms}, pricing: dependency{takes: 90 * ms}, inventory: dependency{takes: 80 * ms}, shipping: dependency{takes: 110 * ms}}, gateway.Options{}, wholePage(), 110 * ms},
		"slow pricing":    {&shop{pricing: never}, gateway.Options{}, without("price"), 250 * ms},
		"slow inventory":  {&shop{inventory: never}, gateway.Options{}, without("stock"), 250 * ms},
		"slow shipping":   {&shop{shipping: never}, gateway.Options{}, without("shipping"), 300 * ms},
		"just in time":    {&shop{pricing: dependency{takes: 249 * ms}}, gateway.Options{}, wholePage(), 249 * ms},
		"slow catalog":    {&shop{catalog: dependency{takes: 499 * ms}}, gateway.Options{}, wholePage(), 499 * ms},
		"own timeouts":    {&shop{pricing: never, inventory: never, shipping: never}, gateway.Options{PricingTimeout: 10 * ms, StockTimeout: 20 * ms, ShippingTimeout: 30 * ms}, without("price", "stock", "shipping"), 30 * ms},
		"pricing down":    {&shop{pricing: down}, gateway.Options{}, without("price"), 0},
		"inventory down":  {&shop{inventory: down}, gateway.Options{}, without("stock"), 0},
		"shipping down":   {&shop{shipping: down}, gateway.Options{}, without("shipping"), 0},
		"sorted":          {&shop{shipping: down, pricing: never, inventory: dependency{takes: 200 * ms, err: errors.New("x")}}, gateway.Options{}, without("price", "stock", "shipping"), 250 * ms},
		"no price":        {&shop{pricing: unknown}, gateway.Options{}, without("price"), 0},
		"no stock":        {&shop{inventory: unknown}, gateway.Options{}, without("stock"), 0},
		"too few prices":  {&shop{prices: []gateway.Money{}}, gateway.Options{}, without("price"), 0},
		"too many prices": {&shop{prices: make([]gateway.Money, 2)}, gateway.Options{}, without("price"), 0},
		"panics":          {&shop{pricing: dependency{panics: "boom"}, inventory: dependency{panics: errors.New("boom")}}, gateway.Options{}, without("price", "stock"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.shop.items = []gateway.Item{mug}
				begin := time.Now()
				got, err := gateway.New(c.shop.ports(), c.options).Product(t.Context(), gateway.ProductRequest{SKU: "mug"})
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// Without the catalog there is no page, and nothing else is waited for.
func TestProductNeedsTheCatalog(t *testing.T) {
	ms := time.Millisecond
	never := dependency{takes: time.Hour}
	for name, c := range map[string]struct {
		catalog dependency
		sku     string
		code    fault.Code
		says    string
		took    time.Duration
	}{
		"unknown SKU": {dependency{takes: 7 * ms}, "cup", fault.NotFound, `there is no product "cup"`, 7 * ms},
		"down":        {dependency{err: fault.New(fault.Unavailable, "no instance of catalog is reachable")}, "mug", fault.Unavailable, "no instance of catalog is reachable", 0},
		"slow":        {dependency{takes: time.Hour}, "mug", fault.Deadline, "", 2000 * ms},
		"broken":      {dependency{panics: "secret"}, "mug", fault.Internal, "the call to catalog failed", 0},
		"empty SKU":   {dependency{}, "", fault.Invalid, "the SKU is empty", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The others would take an hour; only the catalog's timeout is short.
				s := shop{items: []gateway.Item{mug}, catalog: c.catalog, pricing: never, inventory: never, shipping: never}
				g := gateway.New(s.ports(), gateway.Options{PricingTimeout: time.Hour, StockTimeout: time.Hour, ShippingTimeout: time.Hour})
				begin := time.Now()
				page, err := g.Product(t.Context(), gateway.ProductRequest{SKU: c.sku})
				if fault.CodeOf(err) != c.code || !strings.Contains(fault.MessageOf(err), c.says) {
					t.Errorf("got %v, want %s: %s", err, c.code, c.says)
				}
				if strings.Contains(fault.MessageOf(err), "secret") {
					t.Errorf("the customer reads %q", fault.MessageOf(err))
				}
				if !reflect.DeepEqual(page, gateway.ProductPage{}) {
					t.Errorf("a page beside an error: %+v", page)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// A reader who leaves gets no partial page: nothing was missing but the reader.
func TestProductEndsWithItsReader(t *testing.T) {
	never := dependency{takes: time.Hour}
	for name, c := range map[string]struct {
		shop *shop
		end  func(context.Context) (context.Context, context.CancelFunc)
		code fault.Code
	}{
		"leaves, catalog waits": {&shop{catalog: never}, leaveAfter(100 * time.Millisecond), fault.Canceled},
		"leaves, pricing waits": {&shop{pricing: never}, leaveAfter(100 * time.Millisecond), fault.Canceled},
		"deadline": {&shop{shipping: never}, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}, fault.Deadline},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.shop.items = []gateway.Item{mug}
				missed := 0
				g := gateway.New(c.shop.ports(), gateway.Options{Missed: func(context.Context, string, error) { missed++ }})
				ctx, cancel := c.end(t.Context())
				defer cancel()
				begin := time.Now()
				_, err := g.Product(ctx, gateway.ProductRequest{SKU: "mug"})
				if fault.CodeOf(err) != c.code {
					t.Errorf("got %v, want %s", err, c.code)
				}
				if took := time.Since(begin); took != 100*time.Millisecond {
					t.Errorf("took %s, want 100ms", took)
				}
				if missed != 0 {
					t.Errorf("%d parts reported missing", missed)
				}
			})
		})
	}
}

func leaveAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}

// A port that breaks its promise to end with its context delays its own
// request; it leaves nothing running behind it (the bubble would not end).
func TestProductOwnsItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shop{items: []gateway.Item{mug}, inventory: dependency{takes: time.Second, deaf: true}}
		begin := time.Now()
		if _, err := gateway.New(s.ports(), gateway.Options{}).Product(t.Context(), gateway.ProductRequest{SKU: "mug"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %s: somebody did not wait for inventory", took)
		}
	})
}

func TestMissedLearnsWhy(t *testing.T) {
	s := shop{
		items: []gateway.Item{mug}, pricing: dependency{panics: "boom"},
		inventory: dependency{err: fault.New(fault.Limited, "slow down")}, shipping: dependency{err: errors.New("cable cut")},
	}
	var got []string
	g := gateway.New(s.ports(), gateway.Options{Missed: func(_ context.Context, part string, err error) {
		got = append(got, fmt.Sprintf("%s %s", part, fault.CodeOf(err)))
		if part == "price" && !strings.Contains(err.Error(), "fakes_test.go") {
			t.Errorf("the log does not see where it panicked: %v", err)
		}
	}})
	if _, err := g.Product(t.Context(), gateway.ProductRequest{SKU: "mug"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"price internal", "stock limited", "shipping internal"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Many readers share one gateway; run with -race.
func TestProductConcurrently(t *testing.T) {
	s := shop{items: []gateway.Item{mug}, shipping: dependency{err: fault.New(fault.Overloaded, "busy")}}
	g := gateway.New(s.ports(), gateway.Options{})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			page, err := g.Product(t.Context(), gateway.ProductRequest{SKU: "mug"})
			if err != nil || !slices.Equal(page.Partial, []string{"shipping"}) {
				t.Errorf("got %+v, %v", page, err)
			}
			if _, err := g.Product(t.Context(), gateway.ProductRequest{SKU: "cup"}); fault.CodeOf(err) != fault.NotFound {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
}
