package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kitmesh/kitmesh/infra/load"
)

// Bounds of the search for an order of operations, which takes exponential time
// in the worst case and microseconds nearly always.
const (
	searchOne = 5 * time.Second
	searchAll = 30 * time.Second
)

// search asks porcupine (Horn and Kroening's algorithm with P-compositionality)
// about one key after the other.
type search struct {
	f         *finding
	model     porcupine.Model
	until     time.Time
	undecided int
}

func newSearch(f *finding, m porcupine.Model) *search {
	return &search{f: f, model: m, until: time.Now().Add(searchAll)}
}

func (s *search) check(who subject, ops []porcupine.Operation) {
	if len(ops) == 0 {
		return
	}
	limit := min(searchOne, time.Until(s.until))
	result := porcupine.Unknown
	if limit > 0 {
		result = porcupine.CheckOperationsTimeout(s.model, ops, limit)
	}
	if result == porcupine.Unknown {
		s.undecided++
		s.f.Skipped = fmt.Sprintf("%d not decided in time", s.undecided)
		return
	}
	found := ""
	if result == porcupine.Illegal {
		found = describe(ops)
	}
	s.f.expect(result == porcupine.Ok, who, "one order of the operations that explains all answers", found)
}

// describe lists the operations of a violation, as far as one wants to read.
func describe(ops []porcupine.Operation) string {
	const most = 12
	var parts []string
	for _, o := range ops {
		if len(parts) == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(ops)-most))
			break
		}
		parts = append(parts, fmt.Sprint(o.Input, o.Output))
	}
	return "none for: " + strings.Join(parts, "; ")
}

// eachKey calls f with the operations of each key of each run.
func (x *index) eachKey(f func(key string, ops []op)) {
	for _, key := range x.keys() {
		byRun := map[int][]op{}
		for _, o := range x.ops[key] {
			byRun[o.history] = append(byRun[o.history], o)
		}
		for _, run := range slices.Sorted(maps.Keys(byRun)) {
			f(key, byRun[run])
		}
	}
}

func operations(ops []op, take func(load.Operation) bool) (out []porcupine.Operation) {
	for i, o := range ops {
		if take(o.Operation) {
			out = append(out, porcupine.Operation{ClientId: i, Input: told(o.Operation), Output: noOutput{}, Call: o.Call, Return: returned(o.Operation)})
		}
	}
	return out
}
