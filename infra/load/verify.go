package load

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLedger      = 1_000_000 // acknowledged orders remembered for verification
	verifyReaders  = 16
	verifyLimit    = 2 * time.Minute
	verifyRead     = 3 * time.Second
	verifyPatience = 10 * time.Second // for one order, through restarts that still go on
	verifyPause    = 100 * time.Millisecond
	maxNamed       = 20 // orders named in a verdict
)

// Verification is the proof that no acknowledged order was lost or taken twice.
type Verification struct {
	Acknowledged int      `json:"acknowledged"`
	Verified     int      `json:"verified"`
	Missing      []string `json:"missing,omitempty"`      // acknowledged, but not there
	Changed      []string `json:"changed,omitempty"`      // there with other lines or another total
	Shared       []string `json:"shared,omitempty"`       // one order acknowledged for several keys
	Unread       []string `json:"unread,omitempty"`       // could not be read: nothing is proven
	Unremembered int64    `json:"unremembered,omitempty"` // over the bound of what is kept
}

// Held reports whether every acknowledged order was found as acknowledged.
func (v Verification) Held() bool {
	return len(v.Missing)+len(v.Changed)+len(v.Shared)+len(v.Unread) == 0 && v.Unremembered == 0
}

// String is the verdict in one line.
func (v Verification) String() string {
	if v.Held() {
		return fmt.Sprintf("verified: all %d acknowledged orders are there", v.Acknowledged)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "NOT verified: of %d acknowledged orders", v.Acknowledged)
	for _, part := range []struct {
		what string
		ids  []string
	}{{"missing", v.Missing}, {"changed", v.Changed}, {"given to several keys", v.Shared}, {"unreadable", v.Unread}} {
		if n := len(part.ids); n > 0 {
			fmt.Fprintf(&text, "; %d %s (%s)", n, part.what, strings.Join(part.ids[:min(n, maxNamed)], ", "))
		}
	}
	if v.Unremembered > 0 {
		fmt.Fprintf(&text, "; %d more than can be remembered", v.Unremembered)
	}
	return text.String()
}

// acknowledged is what the shop promised.
type acknowledged struct {
	key    string
	lines  []Line
	amount int64
}

// ledger keeps acknowledged orders by id; nil keeps nothing.
type ledger struct {
	mu      sync.Mutex
	orders  map[string]acknowledged
	shared  []string
	dropped int64
}

func (l *ledger) add(r result) {
	if l == nil || r.visit.kind != "place" || r.outcome != OK {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, twice := l.orders[r.order.ID]; twice {
		if known.key == r.visit.req.key { // asked again, answered again
			return
		}
		l.shared = append(l.shared, r.order.ID)
		return
	}
	if len(l.orders) >= maxLedger {
		l.dropped++
		return
	}
	l.orders[r.order.ID] = acknowledged{key: r.visit.req.key, lines: r.visit.lines, amount: r.order.Total.Amount}
}

// verify reads every remembered order from the shop, for at most verifyLimit.
// The reads go into the history, too.
func (l *ledger) verify(ctx context.Context, s *shop, h *history) Verification {
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()

	v := Verification{Acknowledged: len(l.orders) + len(l.shared), Shared: l.shared, Unremembered: l.dropped}
	ids := make([]string, 0, len(l.orders))
	for id := range l.orders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var next atomic.Int64
	var mu sync.Mutex
	var readers sync.WaitGroup
	for proc := range verifyReaders {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				verdict := check(ctx, s, h, proc, ids[i], l.orders[ids[i]])
				mu.Lock()
				v.count(ids[i], verdict)
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	for _, list := range [][]string{v.Missing, v.Changed, v.Unread} {
		slices.Sort(list)
	}
	return v
}

type verdict int

const (
	found verdict = iota
	missing
	changed
	unread
)

func (v *Verification) count(id string, is verdict) {
	switch is {
	case found:
		v.Verified++
	case missing:
		v.Missing = append(v.Missing, id)
	case changed:
		v.Changed = append(v.Changed, id)
	case unread:
		v.Unread = append(v.Unread, id)
	}
}

// check reads one order. An error is asked again until the patience ends; so is
// a 404, which then counts as a loss: a view that is behind must catch up.
func check(ctx context.Context, s *shop, h *history, proc int, id string, want acknowledged) verdict {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	last := unread
	for {
		res := readOrder(ctx, s, id)
		h.add(proc, res)
		switch {
		case res.outcome == OK && sameOrder(res.order, id, want):
			return found
		case res.outcome == OK:
			return changed
		case res.status == http.StatusNotFound:
			last = missing
		case ctx.Err() == nil:
			last = unread
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(verifyPause):
		}
	}
}

func readOrder(ctx context.Context, s *shop, id string) result {
	ctx, cancel := context.WithTimeout(ctx, verifyRead)
	defer cancel()
	return s.perform(ctx, reading(id), nil)
}

func sameOrder(got order, id string, want acknowledged) bool {
	return got.ID == id && got.Total.Amount == want.amount && sameLines(got.Lines, want.lines)
}

// sameLines compares lines in any order.
func sameLines(a, b []Line) bool {
	sorted := func(lines []Line) []Line {
		return slices.SortedFunc(slices.Values(lines), func(x, y Line) int { return cmp.Compare(x.SKU, y.SKU) })
	}
	return slices.Equal(sorted(a), sorted(b))
}
