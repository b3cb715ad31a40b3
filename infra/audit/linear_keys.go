package audit

import (
	"net/http"

	"github.com/anishathalye/porcupine"

	"github.com/kitmesh/kitmesh/infra/load"
)

// keyModel is the register of one idempotency key, which the first request
// writes and no other.
var keyModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		now, o := state.(register), load.Operation(input.(told))
		body := body(o.Lines)
		same := now.body == body
		switch {
		case o.Status == http.StatusUnprocessableEntity:
			return now.body != "" && !same, register{body: now.body, order: now.order}
		case o.Outcome == load.OK:
			ok := now.body == "" || same && (now.order == "" || now.order == o.OrderID) || !same && now.maybe
			return ok, register{body: body, order: o.OrderID}
		case now.body == "":
			// Refused before there was an order, or cancelled after; or unknown.
			return true, register{body: body, maybe: o.Outcome != load.Info}
		case o.Outcome == load.Info:
			return true, now
		}
		return same || now.maybe, now
	},
}

// register is what a key holds: the body of the request that came first, and
// its order where that is known. A maybe holds it or nothing.
type register struct {
	body, order string
	maybe       bool
}

func checkLinearKeys(x *index, f *finding) {
	s := newSearch(f, keyModel)
	x.eachKey(func(key string, ops []op) {
		unknown := map[string]bool{} // bodies: of the same ones the first says all
		s.check(about(key), operations(ops, func(o load.Operation) bool {
			if o.Outcome == load.Info && o.Op == "place" {
				again := unknown[body(o.Lines)]
				unknown[body(o.Lines)] = true
				return !again
			}
			return o.Op == "place" && (mayCreate(o) || o.Status == http.StatusUnprocessableEntity)
		}))
	})
}
