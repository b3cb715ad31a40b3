package audit

import (
	"fmt"
	"maps"
	"slices"
)

// checkSagas looks for orders that nobody drives to an end. A failed order is
// one, too: it waits for a person.
func checkSagas(x *index, f *finding) {
	x.judgedOrders(func(o *order) {
		found := o.Status
		if o.Reason != "" {
			found += ": " + o.Reason
		}
		f.expect(o.Status == confirmed || o.Status == cancelled, o.subject(), "confirmed or cancelled", found)
	})
}

// moves are the changes of status that the saga knows. Authorised and captured
// are written by slow orders only. A step that fails unexpectedly is an event,
// too: same status, one failure more.
var moves = map[string][]string{
	"":         {placed},
	placed:     {reserved, cancelling, failed},
	reserved:   {authorised, dispatched, cancelling, failed},
	authorised: {dispatched, cancelling, failed},
	dispatched: {captured, confirmed, cancelling, failed},
	captured:   {confirmed, failed},
	cancelling: {cancelled, failed},
}

var paymentMoves = map[string][]string{
	"":            {"authorising", "voided"},
	"authorising": {"authorised", "declined"},
	"authorised":  {"captured", "voided"},
}

var parcelMoves = map[string][]string{
	"":       {"booked", "cancelled"},
	"booked": {"shipped", "cancelled"},
}

// checkEvents reads each journal as a history of its own.
func checkEvents(x *index, f *finding) {
	contiguous(f, "orders", x.Orders)
	contiguous(f, "payments", x.Payments)
	contiguous(f, "stock", x.Stock)
	contiguous(f, "shipments", x.Shipments)
	for _, id := range x.ids {
		x.orders[id].walk(f)
	}
	for _, id := range slices.Sorted(maps.Keys(x.payments)) {
		var before Payment
		for _, p := range x.payments[id] {
			f.expect(slices.Contains(paymentMoves[before.Status], p.Status), about(id), "a payment that goes on from "+quoted(before.Status), quoted(p.Status))
			f.expect(before.Status == "" || p.Amount == before.Amount || p.Status == "voided", about(id), fmt.Sprintf("%d, as before", before.Amount.Amount), fmt.Sprint(p.Amount.Amount))
			before = p
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.parcels)) {
		before := ""
		for _, p := range x.parcels[id] {
			f.expect(slices.Contains(parcelMoves[before], p.Status), about(id), "a parcel that goes on from "+quoted(before), quoted(p.Status))
			before = p.Status
		}
	}
}

// walk follows one order through its events.
func (o *order) walk(f *finding) {
	var before Order
	for i, ev := range o.events {
		now := ev.Value
		f.expect(now.Revision == i+1, o.subject(), fmt.Sprintf("revision %d as event %d of the order", i+1, i+1), fmt.Sprint(now.Revision))
		again := i > 0 && now.Status == before.Status && now.Failures == before.Failures+1 && !final(now.Status)
		f.expect(again || slices.Contains(moves[before.Status], now.Status), o.subject(),
			"a status that can follow "+quoted(before.Status), quoted(now.Status))
		same := i == 0 || now.ID == before.ID && now.Key == before.Key && now.Total == before.Total && sameLines(now.Lines, before.Lines)
		f.expect(same, o.subject(), "the same key, lines and total in all events", fmt.Sprintf("a change at revision %d", now.Revision))
		before = now
	}
}

// contiguous looks for events that vanished from a journal.
func contiguous[T any](f *finding, journal string, events []Event[T]) {
	for i, ev := range events {
		f.expect(ev.Seq == uint64(i+1), about("journal "+journal), fmt.Sprintf("event %d", i+1), fmt.Sprintf("event %d next", ev.Seq))
		if ev.Seq != uint64(i+1) {
			return // all the others would be off by as much
		}
	}
}

func quoted(status string) string {
	if status == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", status)
}
