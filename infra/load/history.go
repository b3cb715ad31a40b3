package load

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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
	Lines       []Line  `json:"lines,omitempty"`  // asked for
	Answer      []Line  `json:"answer,omitempty"` // of the order that came back, where they are not those asked for
	Quantity    int     `json:"qty,omitempty"`    // units of all lines asked for
	Available   *int    `json:"available,omitempty"`
	Amount      int64   `json:"amount,omitempty"`      // the order's total in minor units
	Intended    int64   `json:"intended_ns,omitempty"` // when it was due
	Call        int64   `json:"call_ns"`
	Return      int64   `json:"return_ns"`
	Late        bool    `json:"late,omitempty"` // called too long after it was due
	Outcome     Outcome `json:"outcome"`
	Attempt     int     `json:"attempt"` // connections used; 0: nothing was sent
	Tries       int     `json:"tries"`   // instances the edge asked
	OrderID     string  `json:"order_id,omitempty"`
	OrderStatus string  `json:"order_status,omitempty"`
	TraceID     string  `json:"trace_id,omitempty"`
	Status      int     `json:"status,omitempty"` // HTTP; 0: no answer
	Code        string  `json:"code,omitempty"`
}

// History is what one run of the generator recorded.
type History struct {
	Ops   []Operation
	Whole bool // the run came to its end, so what is not in here was not asked
}

// opEnd is the last line of a whole history.
const opEnd = "end"

// ReadHistory reads a history. A run that was killed, or still goes on, leaves
// one that is not whole and may end within a line; any other line that is not an
// operation is an error.
func ReadHistory(r io.Reader) (History, error) {
	var h History
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return h, nil // what follows the last newline is torn
		}
		if err != nil {
			return h, err
		}
		var op Operation
		if err := json.Unmarshal(line, &op); err != nil || op.Op == "" {
			return h, fmt.Errorf("line %d is not an operation: %.60q", n, line)
		}
		if h.Whole = op.Op == opEnd; !h.Whole {
			h.Ops = append(h.Ops, op)
		}
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
		Available: r.stock, Late: r.late, Call: h.clock(r.sent), Return: h.clock(r.done), Outcome: r.outcome, Attempt: r.attempts, Tries: r.tries,
		OrderID: cmp.Or(r.order.ID, r.visit.order), OrderStatus: r.order.Status, TraceID: r.traceID, Status: r.status, Code: r.code,
	}
	if !r.visit.intended.IsZero() {
		op.Intended = h.clock(r.visit.intended)
	}
	for _, l := range op.Lines {
		op.Quantity += l.Quantity
	}
	if op.OrderStatus != "" && !sameLines(r.order.Lines, op.Lines) {
		op.Answer = r.order.Lines
	}
	h.write(op)
}

func (h *history) write(op Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.enc.Encode(op)
	}
}

// close marks the history as whole and hands it to the underlying writer.
func (h *history) close() error {
	if h == nil {
		return nil
	}
	now := h.clock(time.Now())
	h.write(Operation{Op: opEnd, Call: now, Return: now})
	return h.flush()
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
