package zipkin

import (
	"context"
	"math"
)

// stride is how many traces a search takes from the store at a time; while it
// tests them, spans come in.
const stride = 256

// candidate is a trace as it was when a search came by.
type candidate struct {
	low     uint64
	records []record
}

// walk calls each with the traces that have spans between from and to (µs),
// the newest first, until it returns false or ctx ends. want, under the lock,
// says which to copy out.
func (s *Store) walk(ctx context.Context, from, to int64, want func(*trace) bool, each func(candidate) bool) error {
	next := slot{ms: math.MaxInt64} // not to: later spans do not hide a trace that began in time
	slots := make([]slot, 0, stride)
	found := make([]candidate, 0, stride)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		found = found[:0]
		s.mu.RLock()
		slots = s.timeline.before(next, stride, slots[:0])
		for _, at := range slots {
			t := at.trace
			if t.min != 0 && t.min/1000 <= to/1000 && t.max >= from && want(t) {
				found = append(found, candidate{t.low, t.records})
			}
		}
		s.mu.RUnlock()
		for _, c := range found {
			if !each(c) {
				return nil
			}
		}
		if len(slots) < stride {
			return nil
		}
		if next = slots[len(slots)-1]; next.ms < from/1000 {
			return nil
		}
	}
}

// search returns the newest traces that match. As in Zipkin the limit counts
// ids, and two traces that share the lower half of their ids count as one.
func (s *Store) search(ctx context.Context, q *query) ([][]record, error) {
	s.mu.RLock()
	m, ok := s.matcher(q)
	s.mu.RUnlock()
	if !ok {
		return nil, nil
	}
	var found [][]record
	err := s.walk(ctx, m.from, m.to, anyTrace, func(c candidate) bool {
		if !m.test(c.records) {
			return true
		}
		for _, one := range byTraceID(c.records) {
			if m.test(one) {
				found = append(found, one)
			}
		}
		return len(found) < q.limit
	})
	return found, err
}

func anyTrace(*trace) bool { return true }

// byTraceID parts spans whose ids differ in the upper half.
func byTraceID(records []record) [][]record {
	same := true
	for i := range records {
		same = same && records[i].high == records[0].high
	}
	if same {
		return [][]record{records}
	}
	var parts [][]record
	at := map[uint64]int{}
	for _, r := range records {
		i, ok := at[r.high]
		if !ok {
			i = len(parts)
			at[r.high] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], r)
	}
	return parts
}

// trace returns the spans of one trace, in the order of their arrival.
func (s *Store) trace(high, low uint64) []record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.traces[low]
	if t == nil {
		return nil
	}
	for _, part := range byTraceID(t.records) {
		if part[0].high == high {
			return part
		}
	}
	return nil
}

// dependencies links the services of all traces in a window of time (ms).
func (s *Store) dependencies(ctx context.Context, endTs, lookback int64) ([]link, error) {
	q := query{endTs: endTs, lookback: lookback}
	from, to := q.window()
	var l linker
	err := s.walk(ctx, from, to, anyTrace, func(c candidate) bool {
		if inWindow(c.records, from, to) {
			l.put(c.records)
		}
		return true
	})
	return l.links(), err
}

// inWindow reports whether any span began between from and to.
func inWindow(records []record, from, to int64) bool {
	for i := range records {
		if ts := records[i].ts / 1000 * 1000; ts >= from && ts <= to {
			return true
		}
	}
	return false
}
