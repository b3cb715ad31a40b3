package audit

import (
	"fmt"
	"math"
	"net/http"

	"github.com/kitmesh/kitmesh/infra/load"
)

// checkReads looks at each pair of answers about one order of which the first
// had returned before the second was asked for: the second knows as much.
func checkReads(x *index, f *finding) {
	for _, key := range x.keys() {
		ops := x.ops[key]
		for i, later := range ops {
			rank, status := saw(later.Operation)
			if rank == unsaid {
				continue
			}
			for j, earlier := range ops {
				if j == i || earlier.history != later.history || earlier.Return >= later.Call {
					continue
				}
				had, before := saw(earlier.Operation)
				if had == unsaid || had == nothing {
					continue
				}
				f.expect(rank > had || status == before, about(key, earlier.OrderID).traced(later.TraceID, earlier.TraceID),
					"an order that was told to be "+before+" to be so, or further", status)
			}
		}
	}
}

// How much an answer says of an order.
const (
	unsaid  = iota // nothing
	nothing        // there is none
	open           // there is one
	over           // how it ended
)

// saw returns what an answer says of its order.
func saw(o load.Operation) (rank int, status string) {
	switch {
	case o.Outcome == load.OK && (o.Op == "place" || o.Op == "get"):
		if final(o.OrderStatus) {
			return over, o.OrderStatus
		}
		return open, pending
	case o.Op == "get" && o.Status == http.StatusNotFound:
		return nothing, "unknown"
	}
	return unsaid, ""
}

// returned is when an operation was over: one of unknown outcome may still have
// its effect at any time.
func returned(o load.Operation) int64 {
	if o.Outcome == load.Info {
		return math.MaxInt64
	}
	return o.Return
}

func asked(o load.Operation) string {
	return fmt.Sprintf("%s → %d %s", o.Op, o.Status, o.OrderStatus)
}
