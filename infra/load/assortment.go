package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	limitedPrefix  = "limited-" // SKUs that are meant to sell out
	listingSize    = 100
	maxSKUs        = 10_000
	learnTimeout   = 2 * time.Second
	learnRetry     = 200 * time.Millisecond
	sampleAttempts = 8
)

// assortment is what the generator knows of the shop's products: the SKUs,
// learnt once, and which of them its own answers have shown to be sold out.
type assortment struct {
	all      []string
	sellable []string // all without the limited ones
	limited  bool     // order limited and sold out SKUs too

	mu      sync.RWMutex
	soldOut map[string]bool
}

// learn asks the shop for its products until it answers or ctx ends.
func learn(ctx context.Context, s *shop, o Options) (*assortment, error) {
	last := errors.New("no answer in time")
	for {
		skus, err := s.listSKUs(ctx)
		if err == nil {
			if skus, err = narrowed(skus, o.Only); err != nil {
				return nil, err
			}
			return newAssortment(skus, o.IncludeLimited || len(o.Only) > 0), nil
		}
		if ctx.Err() == nil { // else it only says that the wait is over
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the shop at %s did not list its products (%w); is the mesh up?", s.base, last)
		case <-time.After(learnRetry):
		}
	}
}

// narrowed returns the products that are wanted; none wanted are all.
func narrowed(skus, only []string) ([]string, error) {
	for _, sku := range only {
		if !slices.Contains(skus, sku) {
			return nil, fmt.Errorf("the shop does not list %q", sku)
		}
	}
	if len(only) == 0 {
		return skus, nil
	}
	return slices.Clone(only), nil
}

func newAssortment(skus []string, includeLimited bool) *assortment {
	slices.Sort(skus)
	skus = slices.Compact(skus)
	a := &assortment{all: skus, limited: includeLimited, soldOut: map[string]bool{}}
	for _, sku := range skus {
		if includeLimited || !strings.HasPrefix(strings.ToLower(sku), limitedPrefix) {
			a.sellable = append(a.sellable, sku)
		}
	}
	if len(a.sellable) == 0 {
		a.sellable = a.all
	}
	return a
}

// any returns a SKU to look at.
func (a *assortment) any(rng *rand.Rand) string { return a.all[rng.IntN(len(a.all))] }

// order returns 1 to 3 lines of different SKUs, 1 to 3 units each.
func (a *assortment) order(rng *rand.Rand) []Line {
	n := min(1+rng.IntN(3), len(a.sellable))
	lines := make([]Line, 0, n)
	for len(lines) < n {
		sku := a.pick(rng)
		for tried := 0; has(lines, sku); tried++ {
			if sku = a.pick(rng); tried > sampleAttempts { // nothing else left to buy
				sku = a.sellable[rng.IntN(len(a.sellable))]
			}
		}
		lines = append(lines, Line{SKU: sku, Quantity: 1 + rng.IntN(3)})
	}
	return lines
}

func (a *assortment) pick(rng *rand.Rand) string {
	sku := a.sellable[rng.IntN(len(a.sellable))]
	for range sampleAttempts {
		if a.limited || !a.isSoldOut(sku) {
			break
		}
		sku = a.sellable[rng.IntN(len(a.sellable))]
	}
	return sku
}

func has(lines []Line, sku string) bool {
	for _, l := range lines {
		if l.SKU == sku {
			return true
		}
	}
	return false
}

func (a *assortment) isSoldOut(sku string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.soldOut[sku]
}

// saw notes the stock level a product page has shown.
func (a *assortment) saw(sku string, available int) {
	if a.isSoldOut(sku) == (available <= 0) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if available <= 0 {
		a.soldOut[sku] = true
	} else {
		delete(a.soldOut, sku)
	}
}

// listSKUs pages through the shop's products once.
func (s *shop) listSKUs(ctx context.Context) ([]string, error) {
	var skus []string
	token := ""
	for len(skus) < maxSKUs {
		page, err := s.listPage(ctx, token)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Products {
			skus = append(skus, p.SKU)
		}
		if token = page.NextPageToken; token == "" || len(page.Products) == 0 {
			break
		}
	}
	if len(skus) == 0 {
		return nil, errors.New("it lists no product")
	}
	return skus, nil
}

func (s *shop) listPage(ctx context.Context, token string) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	query := url.Values{"page_size": {fmt.Sprint(listingSize)}}
	if token != "" {
		query.Set("page_token", token)
	}
	var page listing
	got := s.send(ctx, request{method: http.MethodGet, path: "/v1/products?" + query.Encode()})
	switch {
	case got.err != nil:
		return page, got.err
	case got.status != http.StatusOK:
		return page, fmt.Errorf("it answered %d %s", got.status, got.problemCode())
	}
	if err := json.Unmarshal(got.body, &page); err != nil {
		return page, fmt.Errorf("its answer is not a listing: %w", err)
	}
	return page, nil
}
