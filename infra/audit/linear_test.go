package audit

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/load"
)

// life is an order's true course in time: when it was created and ended, and
// how. Answers are drawn from it, so that they are right by construction.
type life struct {
	created, ended float64
	end            string
}

func drawLife(t *rapid.T) life {
	l := life{created: rapid.Float64Range(10, 20).Draw(t, "created"), end: rapid.SampledFrom([]string{confirmed, cancelled, failed}).Draw(t, "end")}
	l.ended = l.created + rapid.Float64Range(0, 10).Draw(t, "for")
	return l
}

// at is what an observer at that moment sees: "" before there is an order.
func (l life) at(moment float64) string {
	switch {
	case moment < l.created:
		return ""
	case moment < l.ended:
		return pending
	}
	return l.end
}

// drawOp draws an operation that takes effect at a moment within it.
func (l life) drawOp(t *rapid.T, label string) load.Operation {
	moment := rapid.Float64Range(0, 40).Draw(t, label+" at")
	call := moment - rapid.Float64Range(0, 10).Draw(t, label+" before")
	back := moment + rapid.Float64Range(0, 10).Draw(t, label+" after")
	status := l.at(moment)
	switch rapid.IntRange(0, 3).Draw(t, label) {
	case 0: // a repeated place, which comes after the creation
		if status == "" || call > l.created {
			return place("a", tea, call, max(back, l.ended), load.OK, 201, l.end)
		}
		return place("a", tea, call, back, load.OK, 202, status)
	case 1:
		return place("a", tea, call, back, load.Info, 503, "")
	}
	if status == "" {
		return get("a", nil, call, back, 404, "")
	}
	return get("a", tea, call, back, 200, status)
}

func drawHistory(t *rapid.T) (life, *Evidence) {
	l := drawLife(t)
	e := &Evidence{Cut: 1000, Histories: []load.History{{Whole: true}}}
	e.order("a", tea, placed, reserved)
	creator := place("a", tea, l.created-1, l.ended+1, load.OK, 201, l.end)
	e.asked(creator)
	for i := range rapid.IntRange(0, 12).Draw(t, "ops") {
		op := l.drawOp(t, fmt.Sprint(i))
		if op.Op == "place" && at(l.created) > op.Return {
			continue // it would have created the order itself
		}
		e.asked(op)
	}
	return l, e
}

func violations(e *Evidence, check string) int {
	for _, c := range Run(*e).Checks {
		if c.Name == check {
			return len(c.Violations)
		}
	}
	panic("no check " + check)
}

// TestTrueHistoriesAreAccepted: whatever really happened in some order is never
// called a violation, however the operations overlap.
func TestTrueHistoriesAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, e := drawHistory(t)
		for _, check := range []string{"reads", "linear-status", "linear-keys", "keys"} {
			if violations(e, check) > 0 {
				t.Fatalf("%s found a violation in %+v", check, e.history().Ops)
			}
		}
	})
}

// TestStaleReadsAreFound: an answer from before the end, asked for after the
// customer knew of it.
func TestStaleReadsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, e := drawHistory(t)
		lag := rapid.Float64Range(0.001, 10).Draw(t, "lag")
		stale := get("a", tea, l.ended+1+lag, l.ended+2+lag, 200, pending)
		if rapid.Bool().Draw(t, "lost") {
			stale = get("a", nil, l.ended+1+lag, l.ended+2+lag, 404, "")
		}
		e.asked(stale)
		for _, check := range []string{"reads", "linear-status"} {
			if violations(e, check) == 0 {
				t.Fatalf("%s missed %+v", check, stale)
			}
		}
	})
}

// TestStockIsALedger draws a ledger by a model of one SKU; it is accepted as it
// is, and not any more when one writer did not see the one before.
func TestStockIsALedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Evidence{Start: map[string]int{"tea": 20}, Cut: 1000}
		e.shard(StockEvent{Claim: &StockClaim{Owner: owner}})
		shelf := Shelf{Initial: 20, Available: 20}
		states := []Shelf{shelf} // after each event
		for i := range rapid.IntRange(2, 30).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "order") + fmt.Sprint(i/8)
			kind, quantity := "released", shelf.Holds["order-"+name].Quantity
			if quantity == 0 {
				kind, quantity = "reserved", 1
			} else if rapid.Bool().Draw(t, "ship") {
				kind = "committed"
			}
			if kind == "reserved" && shelf.Available == 0 {
				continue
			}
			var complaint string
			shelf, complaint = after(shelf, StockOp{Kind: kind, Key: "order-" + name, Quantity: quantity}, time.Time{})
			if complaint != "" {
				t.Fatal(complaint)
			}
			e.stock("tea", kind, name, quantity, shelf)
			states = append(states, shelf)
		}
		for _, check := range []string{"stock", "linear-stock"} {
			if n := violations(e, check); n > 0 {
				t.Fatalf("%s found %d violations in a good ledger", check, n)
			}
		}
		if len(e.Stock) < 3 {
			return
		}
		at := rapid.IntRange(2, len(e.Stock)-1).Draw(t, "lost") // its writer misses the event before
		now, _ := after(states[at-2], e.Stock[at].Value.Ops[0], time.Time{})
		if sameLevel(now, states[at]) {
			return // a hold that came and went: the result is right by luck
		}
		e.shelf(at, "tea", func(s *Shelf) { *s = now })
		if violations(e, "stock") == 0 {
			t.Fatalf("event %d did not see the one before, and nobody noticed", at+1)
		}
	})
}
