package zipkin

import (
	"cmp"
	"slices"
	"sort"
)

// timeline keeps traces in the order of their latest span. It is a list of
// short sorted lists: an insertion moves at most one of them, so that it costs
// about the same however many traces there are and whatever times they claim.
type timeline struct {
	chunks [][]slot // oldest first; none is empty
}

// slot is a trace's place: when its latest span began, and its id.
type slot struct {
	ms    int64
	trace *trace
}

const chunkSize = 512

func (s slot) compare(t slot) int {
	return cmp.Or(cmp.Compare(s.ms, t.ms), cmp.Compare(s.trace.low, t.trace.low))
}

// chunk finds the list where s is or belongs.
func (t *timeline) chunk(s slot) int {
	i := sort.Search(len(t.chunks), func(i int) bool { return t.chunks[i][0].compare(s) > 0 })
	return max(i-1, 0)
}

func (t *timeline) insert(s slot) {
	if len(t.chunks) == 0 {
		t.chunks = append(t.chunks, append(make([]slot, 0, chunkSize), s))
		return
	}
	at := t.chunk(s)
	c := t.chunks[at]
	i, _ := slices.BinarySearchFunc(c, s, slot.compare)
	if len(c) < chunkSize {
		t.chunks[at] = slices.Insert(c, i, s)
		return
	}
	half := len(c) / 2
	if at == len(t.chunks)-1 && i == len(c) {
		half = len(c) // time goes on: leave full lists behind
	}
	upper := append(make([]slot, 0, chunkSize), c[half:]...)
	clear(c[half:])
	c = c[:half]
	if i >= half {
		upper = slices.Insert(upper, i-half, s)
	} else {
		c = slices.Insert(c, i, s)
	}
	t.chunks[at] = c
	t.chunks = slices.Insert(t.chunks, at+1, upper)
}

func (t *timeline) remove(s slot) {
	if len(t.chunks) == 0 {
		return
	}
	at := t.chunk(s)
	i, found := slices.BinarySearchFunc(t.chunks[at], s, slot.compare)
	if !found {
		return
	}
	if t.chunks[at] = slices.Delete(t.chunks[at], i, i+1); len(t.chunks[at]) == 0 {
		t.chunks = slices.Delete(t.chunks, at, at+1)
	}
}

// before returns up to n slots below s, newest first. A slot with a nil trace
// is above everything at its time.
func (t *timeline) before(s slot, n int, out []slot) []slot {
	less := func(x slot) bool {
		if s.trace == nil {
			return x.ms <= s.ms
		}
		return x.compare(s) < 0
	}
	at := sort.Search(len(t.chunks), func(i int) bool { return !less(t.chunks[i][0]) }) - 1
	for ; at >= 0; at-- {
		c := t.chunks[at]
		for i := sort.Search(len(c), func(i int) bool { return !less(c[i]) }) - 1; i >= 0; i-- {
			if len(out) == n {
				return out
			}
			out = append(out, c[i])
		}
	}
	return out
}
