package load

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Operation is one line of a history: what one customer asked and what came
// back, for an auditor to check against the shop's state. Times are Unix
// nanoseconds of one monotonic clock, so they are comparable within a run even
// when the wall clock is set.
type Operation struct {
	Proc        int     `json:"proc"` // operations of one proc never overlap
	Op          string  `json:"op"`   // product, listing, place, get
	IdemKey     string  `json:"idem_key,omitempty"`
	BodyHash    string  `json:"body_hash,omitempty"`
	SKU         string  `json:"sku,omitempty"`
	Lines       []Line  `json:"lines,omitempty"`
	Amount      int64   `json:"amount,omitempty"` // the order's total in minor units
	Call        int64   `json:"call_ns"`
	Return      int64   `json:"return_ns"`
	Outcome     Outcome `json:"outcome"`
	Attempt     int     `json:"attempt"` // connections used; 0: nothing was sent
	Tries       int     `json:"tries"`   // instances the edge asked
	OrderID     string  `json:"order_id,omitempty"`
	OrderStatus string  `json:"order_status,omitempty"`
	TraceID     string  `json:"trace_id,omitempty"`
	Status      int     `json:"status,omitempty"` // HTTP; 0: no answer
	Code        string  `json:"code,omitempty"`
}

// ReadHistory returns the operations of a history. It fails at the first line
// that is not one.
func ReadHistory(r io.Reader) ([]Operation, error) {
	var ops []Operation
	dec := json.NewDecoder(r)
	for {
		var op Operation
		if err := dec.Decode(&op); err == io.EOF {
			return ops, nil
		} else if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
}

// history writes operations; safe for concurrent use. The first error stops
// the writing and is kept for flush: an auditor must not get half a history
// that looks whole.
type history struct {
	origin time.Time // has a monotonic reading

	mu  sync.Mutex
	buf *bufio.Writer
	enc *json.Encoder
	err error
}

func newHistory(w io.Writer) *history {
	if w == nil {
		return nil
	}
	buf := bufio.NewWriterSize(w, 1<<16)
	return &history{origin: time.Now(), buf: buf, enc: json.NewEncoder(buf)}
}

func (h *history) clock(t time.Time) int64 {
	return h.origin.UnixNano() + int64(t.Sub(h.origin))
}

func (h *history) add(proc int, r result) {
	if h == nil {
		return
	}
	op := Operation{
		Proc: proc, Op: r.visit.kind, IdemKey: r.visit.req.key, BodyHash: bodyHash(r.visit.req.body),
		SKU: r.visit.sku, Lines: r.visit.lines, Amount: r.order.Total.Amount,
		Call: h.clock(r.sent), Return: h.clock(r.done), Outcome: r.outcome, Attempt: r.attempts, Tries: r.tries,
		OrderID: r.order.ID, OrderStatus: r.order.Status, TraceID: r.traceID, Status: r.status, Code: r.code,
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.enc.Encode(op)
	}
}

// flush hands everything to the underlying writer.
func (h *history) flush() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.buf.Flush()
	}
	return h.err
}
