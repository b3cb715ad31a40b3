package audit

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/kitmesh/kitmesh/infra/load"
)

// checkKeys looks at every request under a key: with the order's own body it is
// answered with that order, with another body it is refused.
func checkKeys(x *index, f *finding) {
	for _, key := range x.keys() {
		ids := x.idsOf[key]
		if len(ids) == 0 {
			x.sameAnswers(f, key) // durability tells the rest
			continue
		}
		o := x.orders[ids[0]]
		for _, p := range x.ops[key] {
			if p.Op != "place" {
				continue
			}
			s := about(key, o.ID).traced(p.TraceID)
			refused := p.Status == http.StatusUnprocessableEntity
			if sameLines(p.Lines, o.Lines) {
				f.expect(!refused, s, "the order, for the body it was placed with", "the answer 422")
			} else if sold(p.Operation) || refused {
				f.expect(refused, s, "the answer 422 for "+text(p.Lines)+" under a key that has "+text(o.Lines), fmt.Sprintf("the answer %d", p.Status))
			}
		}
		x.sameAnswers(f, key)
	}
}

// sameAnswers compares what customers were told under one key.
func (x *index) sameAnswers(f *finding, key string) {
	var answers []string
	for _, p := range x.ops[key] {
		if p.Op == "place" && p.Outcome == load.OK {
			answer := fmt.Sprintf("order %s for %d", p.OrderID, p.Amount)
			if len(answers) == 0 || answers[len(answers)-1] != answer {
				answers = append(answers, answer)
			}
		}
	}
	f.expect(len(answers) <= 1, about(key), "one answer", strings.Join(answers, ", "))
}

// sold reports whether the answer speaks of an order: there it is, or it was
// cancelled.
func sold(o load.Operation) bool {
	return o.Outcome == load.OK || o.Status == http.StatusPaymentRequired
}
