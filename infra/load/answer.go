package load

import (
	"cmp"
	"time"
)

// Answer is what one customer's request came to.
type Answer struct {
	Op       string    // Browse or Checkout
	Intended time.Time // when it was due
	Done     time.Time
	Failed   bool // business outcomes are none
	Late     bool // sent too long after it was due
	Partial  bool // a page that said something is missing
	Status   int  // HTTP; 0: no answer
	Code     string
	Tries    int // instances the edge asked
	TraceID  string
	Order    string
}

func (r result) answer() Answer {
	return Answer{
		Op: r.visit.op, Intended: r.visit.intended, Done: r.done, Failed: r.failed(), Late: r.late, Partial: r.partial,
		Status: r.status, Code: r.code, Tries: r.tries, TraceID: r.traceID, Order: cmp.Or(r.order.ID, r.visit.order),
	}
}

// count adds up a result, and shows it to who wants to see each.
func (g *generator) count(r result) {
	g.recorder.add(r)
	if g.opts.Each != nil {
		g.opts.Each(r.answer())
	}
}
