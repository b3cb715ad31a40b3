package orders

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/kitmesh/kitmesh/services/fault"
)

// maxRecent bounds the orders that List knows.
const maxRecent = 10_000

// recent is a copy of the newest orders, kept up to date from the journal.
type recent struct {
	limit int

	mu     sync.RWMutex
	byID   map[string]record
	placed []placed // oldest first
}

// placed is an order and the sequence of its first event.
type placed struct {
	seq uint64
	id  string
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, byID: map[string]record{}}
}

// apply takes one event over. Orders that fell out stay out.
func (p *recent) apply(r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.byID[r.ID]; !known {
		if r.Revision != 1 {
			return
		}
		p.placed = append(p.placed, placed{r.seq, r.ID})
		if len(p.placed) > p.limit {
			delete(p.byID, p.placed[0].id)
			p.placed = p.placed[1:]
		}
	}
	p.byID[r.ID] = r
}

// status is the last known one of an order, "" when it is not known.
func (p *recent) status(id string) Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[id].Status
}

// page returns up to size orders placed before the event before (0: the
// newest), and where the next page begins (0: nowhere).
func (p *recent) page(before uint64, size int) (orders []Order, next uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	end := len(p.placed)
	if before > 0 {
		end, _ = slices.BinarySearchFunc(p.placed, before, func(e placed, seq uint64) int { return cmp.Compare(e.seq, seq) })
	}
	start := max(0, end-size)
	for i := end - 1; i >= start; i-- {
		orders = append(orders, p.byID[p.placed[i].id].Order)
	}
	if start > 0 {
		next = p.placed[start].seq
	}
	return orders, next
}

// List implements Service. It knows the newest ten thousand orders, as this
// instance has heard of them.
func (s *Saga) List(_ context.Context, req ListRequest) (Page, error) {
	if req.PageSize < 0 || req.PageSize > MaxPageSize {
		return Page{}, fault.New(fault.Invalid, "the page size is %d; use 1 to %d", req.PageSize, MaxPageSize)
	}
	var before uint64
	if req.PageToken != "" {
		var err error
		if before, err = strconv.ParseUint(req.PageToken, 36, 64); err != nil || before == 0 {
			return Page{}, fault.New(fault.Invalid, "this page token is not one of ours; use next_page_token of the page before")
		}
	}
	orders, next := s.recent.page(before, cmp.Or(req.PageSize, DefaultPageSize))
	page := Page{Orders: orders}
	if next > 0 {
		page.NextPageToken = strconv.FormatUint(next, 36)
	}
	return page, nil
}
