package audit

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// replay follows one shard of the stock through its events.
type replay struct {
	*index
	f       *finding
	shard   string
	owner   string // by the last claim
	epoch   uint64 // sequence of that claim
	shelves map[string]Shelf
	open    []listed          // settled and in no list yet, oldest first
	lists   []Event[struct{}] // of settled holds: where and when
	home    map[string]string // shard by SKU, over all shards
}

// listed is a settled hold, as a list has it.
type listed struct{ kind, sku, key string }

// event checks one event against what came before.
func (r *replay) event(ev Event[StockEvent]) {
	e, s := ev.Value, about(r.shard, fmt.Sprint("event ", ev.Seq))
	kind := "a batch"
	switch {
	case e.Claim != nil:
		r.f.expect(e.Claim.Owner == e.By || e.Claim.Owner == "" && e.By == r.owner, s,
			"a claim for oneself, or the owner's leave", fmt.Sprintf("a claim of %q for %q", e.By, e.Claim.Owner))
		r.owner, r.epoch = e.Claim.Owner, ev.Seq
		return
	case e.Checkpoint != nil:
		kind = "a checkpoint"
		r.checkpoint(ev, s)
	case e.Settled != nil:
		kind = "a list of settled holds"
		r.list(ev, s)
	case len(e.Ops) > 0:
		r.batch(ev)
	default:
		r.f.expect(false, s, "operations, a claim, a checkpoint or a list", "an event that says nothing")
	}
	r.f.expect(e.By == r.owner && e.By != "", s, fmt.Sprintf("an event by the shard's owner %q", r.owner), fmt.Sprintf("%s by %q", kind, e.By))
}

// batch compares the shelves after an event with those before it and what
// happened.
func (r *replay) batch(ev Event[StockEvent]) {
	touched := map[string][]StockOp{}
	for _, o := range ev.Value.Ops {
		touched[o.SKU] = append(touched[o.SKU], o)
		if o.Kind != "reserved" {
			r.open = append(r.open, listed{o.Kind, o.SKU, o.Key})
		}
	}
	for sku := range ev.Value.Shelves {
		if _, did := touched[sku]; !did {
			touched[sku] = nil
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(touched)) {
		r.shelf(ev, sku, touched[sku])
	}
}

func (r *replay) shelf(ev Event[StockEvent], sku string, ops []StockOp) {
	found, written := ev.Value.Shelves[sku]
	s, did := r.involved(sku, ops)
	r.f.expect(written && len(ops) > 0, s, "a level for each SKU that something happened to, and no other",
		fmt.Sprintf("%d operations, level written: %t", len(ops), written))
	if was, known := r.home[sku]; known && was != r.shard {
		r.f.expect(false, s, "all events of the SKU in the shard "+was, "one in the shard "+r.shard)
	}
	r.home[sku] = r.shard
	want, known := r.shelves[sku]
	if !known {
		want = r.begun(sku, found)
	}
	for _, o := range ops {
		var complaint string
		want, complaint = after(want, o, ev.Value.At)
		r.f.expect(complaint == "", s, "an operation that can follow the one before", complaint)
	}
	if !written {
		found = want
	}
	r.f.expect(sameLevel(want, found), s, fmt.Sprintf("%s after event %d (%s)", level(want), ev.Seq, did), level(found))
	r.f.expect(balanced(found), s, "initial + restocked = available + reserved + shipped, none negative", level(found))
	found.Holds = want.Holds
	r.shelves[sku] = found // go on from there: one mistake is one violation
}

// involved names those that operations on one SKU are about, and says what they
// are.
func (r *replay) involved(sku string, ops []StockOp) (s subject, did string) {
	keys := []string{sku}
	trace := ""
	for i, o := range ops {
		keys = append(keys, o.Key)
		if known := r.orders[o.Key]; known != nil && trace == "" {
			trace = known.TraceID
		}
		if i > 0 {
			did += ", "
		}
		did += fmt.Sprintf("%s %d", o.Kind, o.Quantity)
	}
	return about(keys...).traced(trace), did
}

// begun is a shelf before its first event.
func (r *replay) begun(sku string, found Shelf) Shelf {
	initial := found.Initial
	if start, ok := r.Start[sku]; ok {
		initial = start
	} else if r.Start != nil {
		initial = 0 // not on the list any more
	}
	return Shelf{Initial: initial, Available: initial}
}

// list takes what an event lists off what is not listed yet.
func (r *replay) list(ev Event[StockEvent], s subject) {
	names := map[listed]bool{}
	count := 0
	for sku, keys := range ev.Value.Settled.Committed {
		for _, key := range keys {
			names[listed{"committed", sku, key}] = true
			count++
		}
	}
	for sku, keys := range ev.Value.Settled.Released {
		for key := range keys {
			names[listed{"released", sku, key}] = true
			count++
		}
	}
	missing := ""
	for _, l := range r.open[:min(count, len(r.open))] {
		if !names[l] {
			missing = fmt.Sprintf("%s of %s on %s", l.kind, l.key, l.sku)
		}
	}
	r.f.expect(missing == "" && count <= len(r.open) && count == len(names), s,
		"a list of the holds that were settled first since the one before", fmt.Sprintf("%d listed of %d, missing: %q", count, len(r.open), missing))
	r.open = r.open[min(count, len(r.open)):]
	r.lists = append(r.lists, Event[struct{}]{Seq: ev.Seq, At: ev.Value.At})
}

// remembered is how long settled holds must be known.
const remembered = time.Hour

// checkpoint compares one with the state that the events before it made.
func (r *replay) checkpoint(ev Event[StockEvent], s subject) {
	c := ev.Value.Checkpoint
	r.f.expect(c.Owner == r.owner && c.Epoch == r.epoch, s, fmt.Sprintf("the owner %q since event %d", r.owner, r.epoch),
		fmt.Sprintf("%q since event %d", c.Owner, c.Epoch))
	r.f.expect(len(r.open) == 0, s, "every settled hold in a list before it", fmt.Sprintf("%d in none", len(r.open)))
	for _, sku := range slices.Sorted(maps.Keys(r.shelves)) {
		want, found := r.shelves[sku], c.Shelves[sku]
		r.f.expect(sameLevel(want, found) && sameHolds(want.Holds, found.Holds), about(sku, r.shard),
			fmt.Sprintf("%s for %d orders at the checkpoint %d", level(want), len(want.Holds), ev.Seq),
			fmt.Sprintf("%s for %d orders", level(found), len(found.Holds)))
	}
	r.f.expect(len(c.Shelves) <= len(r.shelves), s, fmt.Sprintf("%d shelves", len(r.shelves)), fmt.Sprint(len(c.Shelves)))
	for _, l := range r.lists {
		if ev.Value.At.Sub(l.At) < remembered-skew {
			r.f.expect(c.Settled > 0 && c.Settled <= l.Seq, s, fmt.Sprintf("the list %d of the last hour", l.Seq), fmt.Sprintf("lists from %d on", c.Settled))
			break
		}
	}
}
