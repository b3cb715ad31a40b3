package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/provider"
)

func TestGoodEvidence(t *testing.T) {
	r := Run(*evidence())
	if !r.Held() || r.Orders != 2 {
		t.Errorf("%d orders, violations in %v", r.Orders, found(r))
		_ = r.WriteText(t.Output())
	}
	for _, c := range r.Checks {
		if c.Checked == 0 || c.Skipped != "" {
			t.Errorf("%s looked at %d things (%s)", c.Name, c.Checked, c.Skipped)
		}
	}
}

// TestCheckpoint has a list of what was settled and a checkpoint at the end.
func TestCheckpoint(t *testing.T) {
	e := evidence()
	e.checkpoint()
	if r := Run(*e); !r.Held() {
		_ = r.WriteText(t.Output())
		t.Error("violated")
	}
}

// TestViolations spoils the good evidence in one way each and expects exactly
// the checks to find it whose business it is, and the sentence to say what.
func TestViolations(t *testing.T) {
	for _, tc := range []struct {
		name   string
		spoil  func(*Evidence)
		checks string // that find it
		says   string // part of the first violation
	}{
		{"an acknowledged order is lost", func(e *Evidence) {
			e.asked(place("d", tea, 11, 12, load.OK, 201, confirmed))
		}, "durability", "expected the order that was acknowledged, found no such order (order-d, run-d, trace trace-d)"},
		{"an order has another total than was acknowledged", func(e *Evidence) {
			e.history().Ops[1].Amount, e.history().Ops[5].Amount = 400, 400
		}, "durability", "2 × tea for 400, as acknowledged, found 2 × tea for 500"},
		{"an order is shown with other lines", func(e *Evidence) {
			e.history().Ops[6].Answer = cups
		}, "durability", "found 2 × tea for 500"},
		{"an order that the shop refused", func(e *Evidence) {
			e.order("c", tea, placed, cancelling, cancelled)
		}, "phantoms", "nobody asked for one under this key"},
		{"an order with lines that nobody asked for", func(e *Evidence) {
			e.history().Ops[2].Lines = tea
		}, "phantoms keys", "an order for 2 × tea, found an order for 1 × cup, 1 × tea"},
		{"an order under a key that this run never used", func(e *Evidence) {
			e.order("x", tea, placed, cancelling, cancelled)
		}, "phantoms", "nobody asked"},
		{"a charge without an order", func(e *Evidence) {
			e.Provider = append(e.Provider, provider.Entry{Op: provider.OpAuthorise, Key: "lost/authorise", Amount: 1})
		}, "phantoms", "entries in the provider's ledger and no order"},
		{"a parcel without an order", func(e *Evidence) { e.parcel("lost", tea, "booked") }, "phantoms", "a parcel and no order"},
		{"a payment without an order", func(e *Evidence) { e.payment("lost", "authorising") }, "phantoms", "a payment and no order"},
		{"a hold without an order", func(e *Evidence) {
			e.stock("cup", "reserved", "lost", 1, Shelf{Available: 4, Reserved: 1})
		}, "phantoms", "a hold on goods and no order"},
		{"two orders under one key", func(e *Evidence) {
			e.order("c", tea, placed, cancelling, cancelled)
			for i := range e.Orders[len(e.Orders)-3:] {
				e.Orders[len(e.Orders)-3+i].Value.Key = "run-a"
			}
		}, "once", "one order for the key, found 2 orders (run-a, order-a, order-c)"},
		{"two charges for one order", func(e *Evidence) {
			e.Provider = append(e.Provider, provider.Entry{Op: provider.OpAuthorise, Key: "order-a/authorise/2", Reference: "ref-2", Amount: 500, Currency: "EUR"})
		}, "once money", "one authorisation, found 2 (order-a/authorise of 500, order-a/authorise/2 of 500)"},
		{"a line reserved twice", func(e *Evidence) {
			e.stock("tea", "reserved", "a", 2, Shelf{Available: 6, Reserved: 2, Shipped: 2})
		}, "once stock", "one reservation, found 2 reservations of 4 units together"},
		{"more reserved than ordered", func(e *Evidence) {
			for i := range e.Orders[:6] {
				e.Orders[i].Value.Lines = []Line{{SKU: "tea", Quantity: 1}}
			}
			for i := range e.history().Ops {
				if o := &e.history().Ops[i]; slices.Equal(o.Lines, tea) || slices.Equal(o.Answer, tea) {
					o.Lines = []Line{{SKU: "tea", Quantity: 1}}
					o.Answer = nil
				}
			}
			for i := range e.Shipments {
				e.Shipments[i].Value.Lines = []Line{{SKU: "tea", Quantity: 1}}
			}
		}, "once stock", "1 units reserved, as ordered, found 2"},
		{"an update of the shelf is lost", func(e *Evidence) {
			e.shelf(6, "tea", func(s *Shelf) { s.Available, s.Shipped = 10, 0 })
		}, "stock linear-stock", "8 available, 0 reserved, 2 shipped of 10 initial and 0 restocked after event 7 (released 1), found 10 available"},
		{"another number at the start", func(e *Evidence) { e.Start["cup"] = 6 }, "stock linear-stock", "of 6 initial"},
		{"below zero", func(e *Evidence) {
			e.Start["cup"] = 0
			for i, ev := range e.Stock {
				if _, touched := ev.Value.Shelves["cup"]; touched {
					e.shelf(i, "cup", func(s *Shelf) { s.Initial -= 5; s.Available -= 5 })
				}
			}
		}, "stock linear-stock", "none negative"},
		{"goods of a cancelled order are kept", func(e *Evidence) {
			e.Stock = e.Stock[:6]
			e.history().Ops = e.history().Ops[:7]
		}, "stock", "0 shipped, 0 held for the cancelled order, found 0 shipped, 1 held"},
		{"an owner writes after another's claim", func(e *Evidence) {
			e.shard(StockEvent{By: "inventory-2/y", Claim: &StockClaim{Owner: "inventory-2/y"}})
			e.stock("tea", "released", "b", 0, Shelf{Available: 8, Shipped: 2})
		}, "stock", `an event by the shard's owner "inventory-2/y", found a batch by "inventory-1/x"`},
		{"a claim for somebody else", func(e *Evidence) {
			e.shard(StockEvent{Claim: &StockClaim{Owner: "inventory-2/y"}})
		}, "stock", "a claim for oneself"},
		{"somebody else's leave", func(e *Evidence) {
			e.shard(StockEvent{By: "inventory-2/y", Claim: &StockClaim{}})
		}, "stock", "a claim for oneself"},
		{"a level without an operation", func(e *Evidence) {
			e.shard(StockEvent{Ops: []StockOp{{Kind: "released", SKU: "cup", Key: "order-b"}},
				Shelves: map[string]Shelf{"cup": {Initial: 5, Available: 5}, "tea": {Initial: 10, Available: 8, Shipped: 2}}})
		}, "stock", "a level for each SKU"},
		{"an operation without a level", func(e *Evidence) { e.Stock[6].Value.Shelves = nil }, "stock", "level written: false"},
		{"an event of another format", func(e *Evidence) { e.shard(StockEvent{}) }, "stock", "an event that says nothing"},
		{"a SKU in two shards", func(e *Evidence) {
			e.shard(StockEvent{Claim: &StockClaim{Owner: owner}})
			e.stock("tea", "released", "b", 0, Shelf{Available: 10})
			e.Stock[7].Key, e.Stock[8].Key = "shard-2", "shard-2"
		}, "stock linear-stock", "all events of the SKU in the shard shard"},
		{"a settled hold is in no list", func(e *Evidence) {
			e.checkpoint()
			delete(e.Stock[7].Value.Settled.Committed, "tea")
		}, "stock", `missing: "committed of order-a on tea"`},
		{"a checkpoint before the list", func(e *Evidence) {
			e.checkpoint()
			e.Stock[7].Value, e.Stock[8].Value = e.Stock[8].Value, e.Stock[7].Value
			e.Stock[7].Value.Checkpoint.Settled = 0
		}, "stock", "every settled hold in a list before it, found 3 in none"},
		{"a checkpoint with another level", func(e *Evidence) {
			e.checkpoint()
			e.Stock[8].Value.Checkpoint.Shelves["cup"] = Shelf{Initial: 5, Available: 4, Shipped: 1}
		}, "stock", "5 available, 0 reserved, 0 shipped of 5 initial and 0 restocked for 0 orders at the checkpoint 9"},
		{"a checkpoint without a hold", func(e *Evidence) {
			e.Stock = e.Stock[:2]
			e.Orders, e.Payments, e.Shipments, e.Histories = e.Orders[:2], e.Payments[:1], nil, nil
			e.Cut = 1
			e.Orders = e.Orders[:1]
			e.Provider = nil
			e.shard(StockEvent{Checkpoint: &StockCheckpoint{Owner: owner, Epoch: 1, Shelves: map[string]Shelf{
				"tea": {Initial: 10, Available: 8, Reserved: 2}}}})
		}, "stock sagas", "for 1 orders at the checkpoint 3, found"},
		{"a checkpoint that forgets a list", func(e *Evidence) {
			e.checkpoint()
			e.Stock[8].Value.Checkpoint.Settled = 9
		}, "stock", "the list 8 of the last hour, found lists from 9 on"},
		{"a checkpoint of another owner", func(e *Evidence) {
			e.checkpoint()
			e.Stock[8].Value.Checkpoint.Epoch = 2
		}, "stock", `the owner "inventory-1/x" since event 1`},
		{"a level on a page that never was", func(e *Evidence) { e.history().Ops[7].Available = new(9) }, "stock", "a page with 9 available; the ledger had 7 8 10"},
		{"a level on a page before it was", func(e *Evidence) {
			e.history().Ops[0].Available = new(7)
			e.history().Ops[0].Return = at(1)
		}, "stock", "a page with 7 available"},
		{"a cancelled order is charged", func(e *Evidence) {
			e.Provider[2].Declined = false
			e.Provider = append(e.Provider, provider.Entry{Op: provider.OpCapture, Key: "order-b/capture", Reference: "ref-b", Amount: 500, Currency: "EUR"})
		}, "money", "nothing captured for the cancelled order"},
		{"money of a cancelled order is kept", func(e *Evidence) {
			e.Provider[2].Declined = false
		}, "money", "everything given back for the cancelled order, found 1 (order-b/authorise of 500) still held"},
		{"a confirmed order is not charged", func(e *Evidence) { e.Provider = slices.Delete(e.Provider, 1, 2) }, "money", "500 EUR captured for the confirmed order, found 0 ()"},
		{"a confirmed order is charged another amount", func(e *Evidence) { e.Provider[1].Amount = 50 }, "money", "order-a/capture of 50"},
		{"a confirmed order is charged in another currency", func(e *Evidence) { e.Provider[1].Currency = "USD" }, "money", "500 EUR captured"},
		{"payments believes what the provider does not say", func(e *Evidence) {
			e.Payments = slices.Delete(e.Payments, 2, 3)
			e.Payments[2].Seq, e.Payments[3].Seq = 3, 4
		}, "money", "found authorised"},
		{"a confirmed order has no parcel", func(e *Evidence) { e.Shipments = nil }, "parcels", "a parcel of 2 × tea, found none"},
		{"a cancelled order has a parcel", func(e *Evidence) { e.parcel("b", cups, "booked") }, "parcels", "no parcel, or a cancelled one, found booked"},
		{"an order is stuck", func(e *Evidence) { e.Orders = e.Orders[:9] }, "sagas", "confirmed or cancelled, found cancelling"},
		{"another body under the key is sold", func(e *Evidence) {
			o := &e.history().Ops[4]
			o.Outcome, o.Status, o.OrderStatus, o.OrderID, o.Amount = load.OK, 201, confirmed, "order-a", 500
		}, "durability keys linear-keys", "found 2 × tea under run-a"},
		{"the order's own body is refused", func(e *Evidence) {
			e.history().Ops[5] = place("a", tea, 7, 8, load.Fail, 422, "")
		}, "keys linear-keys", "the order, for the body it was placed with, found the answer 422"},
		{"another answer for the same key", func(e *Evidence) {
			e.history().Ops[5].OrderID = "order-b"
		}, "durability keys linear-keys", ""},
		{"a revision is missing", func(e *Evidence) {
			for i := 3; i < 6; i++ {
				e.Orders[i].Value.Revision++
			}
		}, "events", "revision 4 as event 4 of the order, found 5"},
		{"a step is skipped", func(e *Evidence) { e.Orders[4].Value.Status = dispatched }, "events", `a status that can follow "dispatched", found "dispatched"`},
		{"an end that was not the end", func(e *Evidence) { e.Orders[3].Value.Status = confirmed }, "events", `a status that can follow "authorised", found "confirmed"`},
		{"an order changes on its way", func(e *Evidence) { e.Orders[2].Value.Total.Amount = 1 }, "events", "a change at revision 3"},
		{"an event vanished from a journal", func(e *Evidence) {
			for i := range e.Stock[3:] {
				e.Stock[3+i].Seq++
			}
		}, "events", "journal stock: expected event 4, found event 5 next"},
		{"a payment goes back", func(e *Evidence) { e.payment("a", "authorised", "captured") }, "events", `a payment that goes on from "captured", found "authorised"`},
		{"a parcel goes back", func(e *Evidence) { e.parcel("a", tea, "booked") }, "events", `a parcel that goes on from "shipped", found "booked"`},
		{"an order is not found after it was acknowledged", func(e *Evidence) {
			e.asked(get("a", nil, 11, 12, 404, ""))
		}, "reads linear-status", "an order that was told to be confirmed to be so, or further, found unknown"},
		{"a status goes back", func(e *Evidence) {
			e.asked(get("a", tea, 11, 12, 200, pending))
		}, "reads linear-status", "found pending"},
		{"an order ends in two ways", func(e *Evidence) {
			e.asked(get("a", tea, 11, 12, 200, cancelled))
		}, "reads linear-status", "found cancelled"},
		{"confirmed to one, cancelled to the other, at the same time", func(e *Evidence) {
			e.history().Ops = e.history().Ops[1:3]
			e.asked(get("a", tea, 1, 5, 200, cancelled))
		}, "linear-status", "none for: place → 201 confirmed"},
		{"read before anybody asked for it", func(e *Evidence) {
			e.asked(get("a", tea, 0, 0.5, 200, pending))
		}, "linear-status", "get → 200 pending"},
		{"two orders for one key at the same time", func(e *Evidence) {
			e.order("d", tea, placed, cancelling, cancelled)
			for i := len(e.Orders) - 3; i < len(e.Orders); i++ {
				e.Orders[i].Value.Key = "run-a"
			}
			o := place("a", tea, 1, 5, load.OK, 201, confirmed)
			o.OrderID = "order-d"
			e.asked(o)
		}, "once keys linear-keys", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := evidence()
			tc.spoil(e)
			r := Run(*e)
			var text strings.Builder
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found(r), " "); got != tc.checks {
				t.Errorf("found by %q, want %q\n%s", got, tc.checks, text.String())
			}
			if !strings.Contains(text.String(), tc.says) {
				t.Errorf("the report does not say %q:\n%s", tc.says, text.String())
			}
		})
	}
}

// TestUnknownOutcomes: what may or may not have happened is no violation either
// way.
func TestUnknownOutcomes(t *testing.T) {
	for name, change := range map[string]func(*Evidence){
		"it happened": func(e *Evidence) {
			e.history().Ops[1] = place("a", tea, 1, 5, load.Info, 503, "")
		},
		"it did not":              func(e *Evidence) { e.asked(place("d", tea, 11, 12, load.Info, 0, "")) },
		"it happens later":        func(e *Evidence) { e.history().Ops[1] = place("a", tea, 1, 1.1, load.Info, 0, "") },
		"refused before an order": func(e *Evidence) { e.asked(place("d", tea, 11, 12, load.Fail, 409, "")) },
		"read while it is placed": func(e *Evidence) { e.asked(get("a", tea, 2, 3, 200, pending), get("a", nil, 1, 3, 404, "")) },
		"a limit says nothing":    func(e *Evidence) { e.asked(place("b", cups, 11, 12, load.Info, 429, "")) },
		"an order too young to be judged": func(e *Evidence) {
			e.Cut = 10
			e.order("d", tea, placed, reserved)
			e.stock("tea", "reserved", "d", 2, Shelf{Available: 6, Reserved: 2, Shipped: 2})
			e.asked(place("d", tea, 11, 12, load.Info, 0, ""))
		},
		"a step that fails and goes on": func(e *Evidence) {
			for i := range e.Orders[6:] {
				e.Orders[6+i].Seq++
			}
			again := e.Orders[1]
			again.Value.Failures = 1
			for i := 2; i < 6; i++ {
				e.Orders[i].Seq++
				e.Orders[i].Value.Revision++
			}
			again.Seq++
			again.Value.Revision++
			e.Orders = slices.Insert(e.Orders, 2, again)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := evidence()
			change(e)
			if r := Run(*e); !r.Held() {
				_ = r.WriteText(t.Output())
				t.Error("violated")
			}
		})
	}
}

func TestWithoutHistory(t *testing.T) {
	e := evidence()
	e.Histories = nil
	r := Run(*e)
	if !r.Held() {
		t.Errorf("violations in %v", found(r))
	}
	for _, c := range r.Checks {
		needs := slices.Contains([]string{"durability", "keys", "reads", "linear-status", "linear-keys"}, c.Name)
		if needs != (c.Checked == 0) || needs && c.Skipped == "" {
			t.Errorf("%s: %d checked, skipped %q", c.Name, c.Checked, c.Skipped)
		}
	}
}

func TestHistoryThatBreaksOff(t *testing.T) {
	e := evidence()
	e.history().Whole = false
	e.order("x", tea, placed, cancelling, cancelled) // asked for when nobody wrote any more
	r := Run(*e)
	if !r.Held() {
		t.Errorf("violations in %v", found(r))
	}
	if i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == "phantoms" }); !strings.Contains(r.Checks[i].Skipped, "1 histories end in the middle") {
		t.Errorf("phantoms says %q", r.Checks[i].Skipped)
	}
}

// TestReportIsTheDocumentedJSON: what scripts read.
func TestReportIsTheDocumentedJSON(t *testing.T) {
	e := evidence()
	e.Provider[1].Amount = 50
	data, err := json.Marshal(Run(*e))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Violations, Orders int
		Checks             []map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &r); err != nil || r.Violations != 1 || r.Orders != 2 {
		t.Fatalf("%v %+v", err, r)
	}
	for _, c := range r.Checks {
		for _, field := range []string{"name", "checked", "violations"} {
			if _, ok := c[field]; !ok {
				t.Errorf("a check without %s: %v", field, slices.Collect(maps.Keys(c)))
			}
		}
		if string(c["name"]) == `"money"` {
			want := `[{"keys":["order-a","run-a"],"trace_id":"trace-a","expected":"500 EUR captured for the confirmed order","found":"1 (order-a/capture of 50)"}]`
			if got := string(c["violations"]); got != want {
				t.Errorf("violations are %s, want %s", got, want)
			}
		}
	}
}

// TestLongReportsAreCut: a person gets the first of many violations of a check.
func TestLongReportsAreCut(t *testing.T) {
	e := evidence()
	for i := range 50 {
		e.asked(place(fmt.Sprint("lost-", i), tea, 11, 12, load.OK, 201, confirmed))
	}
	var text strings.Builder
	if err := Run(*e).WriteText(&text); err != nil || !strings.Contains(text.String(), "durability: and 30 more") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
