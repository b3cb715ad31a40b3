package zipkin

import (
	"maps"
	"slices"
)

// autocomplete collects the values of chosen tags. Values outlive their spans,
// as in Zipkin, and are bounded by number and length.
type autocomplete struct {
	keys   []string // sorted
	values map[string]map[string]struct{}
	bytes  int64
}

const (
	maxTagValues   = 1000 // of one key
	maxTagValueLen = 256  // bytes
)

func newAutocomplete(keys []string) autocomplete {
	a := autocomplete{keys: append([]string{}, keys...), values: map[string]map[string]struct{}{}}
	slices.Sort(a.keys)
	for _, key := range a.keys {
		a.values[key] = map[string]struct{}{}
	}
	return a
}

// listed reports whether the values of a tag are collected.
func (a *autocomplete) listed(key []byte) bool {
	_, ok := a.values[string(key)]
	return ok
}

func (a *autocomplete) add(tags []tag) {
	for _, t := range tags {
		values, ok := a.values[string(t.key)]
		if !ok || len(values) >= maxTagValues || len(t.value) > maxTagValueLen {
			continue
		}
		if _, known := values[string(t.value)]; !known {
			values[string(t.value)] = struct{}{}
			a.bytes += symbolCost + int64(len(t.value))
		}
	}
}

// list returns the values of a key in order; never nil.
func (a *autocomplete) list(key string) []string {
	values := slices.AppendSeq(make([]string, 0, len(a.values[key])), maps.Keys(a.values[key]))
	slices.Sort(values)
	return values
}
