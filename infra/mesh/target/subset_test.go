package target

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

func manyInstances(n int) []discovery.Instance {
	var list []discovery.Instance
	for i := range n {
		list = append(list, discovery.Instance{ID: fmt.Sprintf("x-%d", i), Addr: fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255)})
	}
	return list
}

func subsetOf(caller string, n int, all []discovery.Instance) []string {
	t := &Target{caller: caller, opts: Options{Balance: Balance{Subset: n}}}
	var ids []string
	for _, i := range t.subset(all) {
		ids = append(ids, i.ID)
	}
	return ids
}

// 10,000 callers of 20 of 1,000 instances: each instance has about 200 callers.
// The bound is that of chance: mean 200, deviation 14, the worst of 1,000.
func TestSubsetsSpreadEvenly(t *testing.T) {
	const callers, size, count = 10_000, 20, 1000
	if testing.Short() {
		t.Skip("ten million hashes")
	}
	all := manyInstances(count)
	load := map[string]int{}
	for c := range callers {
		ids := subsetOf(fmt.Sprintf("caller-%d", c), size, all)
		if len(ids) != size {
			t.Fatalf("a subset of %d, want %d", len(ids), size)
		}
		for _, id := range ids {
			load[id]++
		}
	}
	low, high := callers, 0
	for _, i := range all {
		low, high = min(low, load[i.ID]), max(high, load[i.ID])
	}
	mean := float64(callers*size) / count
	t.Logf("callers per instance: %d to %d, max/mean %.3f", low, high, float64(high)/mean)
	if float64(high) > 1.3*mean || float64(low) < 0.7*mean {
		t.Errorf("%d to %d callers per instance, want %.0f ± 30 %%", low, high, mean)
	}
}

// When an instance leaves, who used it takes one other, and the rest stays.
func TestSubsetChurnIsLeast(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(r, "instances")
		size := rapid.IntRange(1, 40).Draw(r, "subset")
		lost := rapid.IntRange(0, n-1).Draw(r, "lost")
		caller := rapid.String().Draw(r, "caller")
		all := manyInstances(n)
		before := subsetOf(caller, size, all)
		after := subsetOf(caller, size, slices.Delete(slices.Clone(all), lost, lost+1))
		if want := min(size, n); len(before) != want {
			r.Fatalf("%d of %d instances, want %d", len(before), n, want)
		}
		if want := min(size, n-1); len(after) != want {
			r.Fatalf("%d of %d instances, want %d", len(after), n-1, want)
		}
		gone := 0
		for _, id := range before {
			if !slices.Contains(after, id) {
				gone++
				if id != all[lost].ID {
					r.Fatalf("%s left the subset when %s died", id, all[lost].ID)
				}
			}
		}
		if gone > 1 {
			r.Fatalf("%d left", gone)
		}
	})
}
