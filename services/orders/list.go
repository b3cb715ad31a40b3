package orders

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Bounds of the search for a page's orders. An order has four events, a slow one six, so
// the first window nearly always holds a page.
const (
	eventsPerOrder = 6
	growth         = 4      // of the next window, when one held too few
	maxWindow      = 20_000 // events
	maxWindows     = 8
	listReaders    = 8 // orders of one page that are read at a time
)

// listWithin bounds a request for a page.
const listWithin = 10 * time.Second

// placement is where an order begins.
type placement struct {
	id  string
	seq uint64 // of its first event
}

// List implements Service. It reads the journal backwards from its end, or from
// where the page before ended, so it knows every order. Where orders are very
// rare among the events a page may be short; its token leads on.
func (s *Saga) List(ctx context.Context, req ListRequest) (Page, error) {
	before, err := req.validate()
	if err != nil {
		return Page{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	tail, err := s.journal.Tail(ctx)
	if err != nil {
		return Page{}, err
	}
	before = min(before, tail+1)
	found, next, err := s.placedBefore(ctx, before, cmp.Or(req.PageSize, DefaultPageSize))
	if err != nil {
		return Page{}, err
	}
	orders, err := s.loadAll(ctx, found)
	if err != nil {
		return Page{}, err
	}
	page := Page{Orders: orders}
	if next > 0 {
		page.NextPageToken = strconv.FormatUint(next, 36)
	}
	return page, nil
}

// validate returns the sequence before which the page's orders were placed.
func (r ListRequest) validate() (before uint64, err error) {
	if r.PageSize < 0 || r.PageSize > MaxPageSize {
		return 0, fault.New(fault.Invalid, "the page size is %d; use 1 to %d", r.PageSize, MaxPageSize)
	}
	if r.PageToken == "" {
		return math.MaxUint64, nil
	}
	before, err = strconv.ParseUint(r.PageToken, 36, 64)
	if err != nil || before == 0 {
		return 0, fault.New(fault.Invalid, "this page token is not one of ours; use next_page_token of the page before")
	}
	return before, nil
}

// placedBefore returns up to size orders placed before a sequence, newest first,
// and the sequence before which the next page's were (0: there are none).
func (s *Saga) placedBefore(ctx context.Context, before uint64, size int) (found []placement, next uint64, err error) {
	window := uint64(size+1) * eventsPerOrder
	end := before
	for range maxWindows {
		from := max(end, window+1) - window
		var part []placement
		err := s.journal.Scan(ctx, kindPlaced, from, end, func(id string, seq uint64) {
			part = append(part, placement{id, seq})
		})
		if err != nil {
			return nil, 0, err
		}
		slices.Reverse(part)
		if found = append(found, part...); len(found) > size {
			return found[:size], found[size-1].seq, nil
		}
		if from <= 1 {
			return found, 0, nil
		}
		end, window = from, min(window*growth, maxWindow)
	}
	return found, end, nil
}

// loadAll returns the newest state of each order, a few at a time.
func (s *Saga) loadAll(ctx context.Context, found []placement) ([]Order, error) {
	orders, errs := make([]Order, len(found)), make([]error, len(found))
	slots := make(chan struct{}, listReaders)
	var wg sync.WaitGroup
	for i, p := range found {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := s.load(ctx, p.id)
			orders[i], errs[i] = r.Order, err
		})
	}
	wg.Wait()
	return orders, errors.Join(errs...)
}
