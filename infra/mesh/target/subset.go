package target

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// subset returns the instances that this caller uses: those whose hash with the
// caller's name is highest (rendezvous hashing, Thaler and Ravishankar, 1998).
// When one leaves, one other takes its place and all others stay; a new one
// displaces at most one. Each instance has its place in about as many callers'
// subsets as any other.
func (t *Target) subset(all []discovery.Instance) []discovery.Instance {
	n := t.opts.Balance.Subset
	if n == 0 || len(all) <= n {
		return all
	}
	type ranked struct {
		rank uint64
		i    int
	}
	list := make([]ranked, len(all))
	for i, instance := range all {
		list[i] = ranked{hash(t.caller + "/" + instance.Key()), i}
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.i, b.i)) })
	list = list[:n]
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(a.i, b.i) })
	out := make([]discovery.Instance, n)
	for i, r := range list {
		out[i] = all[r.i]
	}
	return out
}

// callerName is Balance.Caller or, without one, a random name.
func (t *Target) callerName() string {
	if c := t.opts.Balance.Caller; c != "" {
		return c
	}
	return strconv.FormatUint(t.random(), 36)
}
