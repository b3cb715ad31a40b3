package target

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

var (
	simInto = flag.String("simulate", "", "run the simulation of docs/simulation.md and write its tables into `file`")
	simSize = flag.Float64("size", 1, "of the simulation: 1 is 10,000 callers of 1,000 instances")
	simSeed = flag.Uint64("seed", 1, "of the simulation")
)

// simRun is one line of a table to be.
type simRun struct {
	scale    simScale
	scenario simScenario
	stack    simStack
}

// simulateAll makes the runs, some at the same time: each is a world of its own.
func simulateAll(t *testing.T, seed uint64, runs []simRun) []simResult {
	results := make([]simResult, len(runs))
	t.Run("world", func(t *testing.T) {
		for i, r := range runs {
			t.Run(fmt.Sprintf("%s/%s/%s", r.scenario.name, r.stack, r.scale), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(*testing.T) { results[i] = simulate(r.scale, r.scenario, r.stack, seed) })
			})
		}
	})
	return results
}

// A small world says the same as the large one of docs/simulation.md.
func TestSimulatedMesh(t *testing.T) {
	if simRaced {
		t.Skip("make test runs it without the race detector")
	}
	small := simScale{callers: 200, instances: 20, subset: 10}
	// What the mesh's callers see at least, and the stock callers at most: of all
	// calls, and of those of the last second.
	for name, want := range map[string]struct{ mesh, meshLast, stock, stockLast, tries float64 }{
		"steady":    {mesh: 0.9999, tries: 1.001},
		"kill":      {mesh: 0.999, tries: 1.05},
		"slow":      {mesh: 0.9, tries: 1.1},
		"gray":      {mesh: 0.999, tries: 1.05},
		"partial":   {mesh: 0.999, tries: 1.01},
		"stall":     {mesh: 0.998, stock: 0.95, tries: 1.1},
		"zone loss": {mesh: 0.95, stock: 0.95, tries: 1.15},
		"storm":     {mesh: 0.85, meshLast: 0.98, stockLast: 0.5, tries: 1.3},
		"overload":  {mesh: 0.45, meshLast: 0.999, stock: 0.4, stockLast: 0.5, tries: 1.4},
	} {
		s := simScenarioOf(name)
		stock := simGoKit
		if name == "storm" {
			stock = simTimed
		}
		runs := []simRun{{small, s, simKitmesh}}
		if want.stock > 0 || want.stockLast > 0 {
			runs = append(runs, simRun{small, s, stock})
		}
		results := simulateAll(t, 1, runs)
		if r := results[0]; r.success < want.mesh || r.last < want.meshLast || r.tries > want.tries {
			t.Errorf("%s: success %.5f, %.5f at the end, %.3f tries, want at least %.5f, %.5f and at most %.3f",
				name, r.success, r.last, r.tries, want.mesh, want.meshLast, want.tries)
		}
		if len(results) == 1 {
			continue
		}
		if r := results[1]; want.stock > 0 && r.success > want.stock || want.stockLast > 0 && r.last > want.stockLast {
			t.Errorf("%s: the stock callers' success is %.5f, %.5f at the end, want at most %.5f and %.5f: is there still a need for all this?",
				name, r.success, r.last, want.stock, want.stockLast)
		}
	}
}

// The same seed makes the same world, to the last call; another one makes
// another.
func TestSimulationIsDeterministic(t *testing.T) {
	if simRaced {
		t.Skip("make test runs it without the race detector")
	}
	small := simScale{callers: 80, instances: 8, subset: 5}
	var runs []simRun
	for _, name := range []string{"kill", "storm"} {
		for _, stack := range []simStack{simKitmesh, simTimed} {
			runs = append(runs, simRun{small, simScenarioOf(name), stack})
		}
	}
	first, second := simTable(simulateAll(t, 7, runs)), simTable(simulateAll(t, 7, runs))
	if first != second {
		t.Errorf("two tables of one seed:\n%s\n%s", first, second)
	}
	if third := simTable(simulateAll(t, 8, runs)); third == first {
		t.Error("another seed makes the same table")
	}
}

// TestSimulate writes the tables of docs/simulation.md: make simulate.
func TestSimulate(t *testing.T) {
	if *simInto == "" {
		t.Skip("takes minutes: make simulate")
	}
	large := simScale{callers: int(10_000 * *simSize), instances: int(1_000 * *simSize), subset: 20}
	var runs []simRun
	for _, s := range simScenarios {
		for _, stack := range simStacks {
			runs = append(runs, simRun{large, s, stack})
		}
	}
	results := simulateAll(t, *simSeed, runs)
	page, err := os.ReadFile(*simInto)
	if err != nil {
		t.Fatal(err)
	}
	caption := fmt.Sprintf("%d callers, %d instances, seed %d.\n\n", large.callers, large.instances, *simSeed)
	page = simInsert(t, page, "scenarios", caption+simTable(results))

	runs = runs[:0]
	for _, name := range []string{"slow", "gray", "stall"} {
		for _, subset := range []int{10, 20, 50} {
			runs = append(runs, simRun{simScale{500, 50, subset}, simScenarioOf(name), simKitmesh})
		}
	}
	caption = fmt.Sprintf("500 callers, 50 instances, seed %d.\n\n", *simSeed)
	page = simInsert(t, page, "subsets", caption+simTable(simulateAll(t, *simSeed, runs)))
	if err := os.WriteFile(*simInto, page, 0o644); err != nil {
		t.Fatal(err)
	}
}

// simInsert puts a table between the page's marks of that name.
func simInsert(t *testing.T, page []byte, name, table string) []byte {
	t.Helper()
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- end of "+name+" -->")
	before, rest, found := bytes.Cut(page, begin)
	_, after, ended := bytes.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("the page has no marks for %s", name)
	}
	return bytes.Join([][]byte{before, begin, []byte(table), end, after}, nil)
}
