package middleware

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"
	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/services/fault"
)

// A small shop: a gateway whose pages ask pricing twice and inventory once, side
// by side, and whose orders take six steps, one after the other. Each of the
// four has a Shed and 4 workers of 10 ms. Pricing is asked most: at 20 % orders
// the shop can do 208 requests/s, and orders alone would fit at three times that.
func TestShedChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sheds := map[string]*Shed{}
		tier := func(name string, next endpoint.Endpoint) endpoint.Endpoint {
			if sheds[name] == nil {
				sheds[name] = NewShed(ShedSettings{})
			}
			return sheds[name].Middleware(name + ".Do")(next)
		}
		leaf := func(name string) endpoint.Endpoint { return tier(name, Work(simWork, simWorkers, 256)(fine)) }
		pricing, inventory, payments := leaf("pricing"), leaf("inventory"), leaf("payments")
		door := Work(simWork, simWorkers, 256)
		var partial atomic.Int64
		sheds["gateway"] = NewShed(ShedSettings{})
		page := sheds["gateway"].middleware("gateway.Page", true)(door(func(ctx context.Context, request any) (any, error) {
			var parts errgroup.Group
			for _, ask := range []endpoint.Endpoint{pricing, pricing, inventory} {
				parts.Go(func() error { _, err := ask(ctx, request); return err })
			}
			if err := parts.Wait(); fault.CodeOf(err) == fault.Overloaded {
				partial.Add(1) // a page without its price is still a page
				Incomplete(ctx)
			} else if err != nil {
				return nil, err
			}
			return nil, nil
		}))
		order := tier("gateway", door(func(ctx context.Context, request any) (any, error) {
			for _, step := range []endpoint.Endpoint{pricing, pricing, inventory, payments, payments, inventory} {
				if _, err := step(ctx, request); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}))
		const full = 208. / simCapacity
		worth := 0.0 // of pricing's capacity, what went into full pages and orders
		shop := func(load float64, d time.Duration) (pages, orders served, share float64) {
			partial.Store(0)
			r := drive(t, d, crowd{Normal, .8 * load * full, page}, crowd{Critical, .2 * load * full, order})
			worth = 2 * float64(r[0].ok-int(partial.Load())+r[1].ok) / d.Seconds() / simCapacity
			t.Logf("%d pages partial; pricing is worth %.2f; limits %.1f, %.1f, %.1f, %.1f", partial.Load(), worth,
				sheds["gateway"].Report().Limit, sheds["pricing"].Report().Limit, sheds["inventory"].Report().Limit, sheds["payments"].Report().Limit)
			return r[0], r[1], goodput(d, r...) / full
		}
		pages, orders, _ := shop(.6, 10*time.Second)
		usual := [...]time.Duration{pages.p99(), orders.p99()}
		pages, orders, share := shop(3, 30*time.Second)
		if orders.share() < .999 {
			t.Errorf("orders: %v", orders)
		}
		if share < .95 || worth < .85 || int(partial.Load()) > pages.ok*6/10 {
			t.Errorf("goodput %.3f; %d of %d pages are partial, pricing is worth %.2f", share, partial.Load(), pages.ok, worth)
		}
		if pages.p99() > 4*usual[0] || orders.p99() > 4*usual[1] {
			t.Errorf("p99 %v and %v, were %v", pages.p99(), orders.p99(), usual)
		}
		pages, orders, _ = shop(.6, 10*time.Second)
		if pages.lastBad > 2*time.Second && pages.share() < 1 || orders.share() < 1 || pages.p99() > usual[0]*3/2 {
			t.Errorf("not steady after: %v, %v", pages, orders)
		}
	})
}
