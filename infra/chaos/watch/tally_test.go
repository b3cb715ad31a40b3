package watch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// says makes the page of a caller of "x": calls, and the picks of x-1 and x-2.
func says(t *testing.T, calls, one, two int) *view {
	t.Helper()
	return page(t, fmt.Sprintf(`{"targets": [{"service": "x", "calls": %d, "members": [
		{"id": "x-1", "addr": "h:1", "breaker": "closed", "picks": %d},
		{"id": "x-2", "addr": "h:2", "breaker": "closed", "picks": %d}]}]}`, calls, one, two))
}

func page(t *testing.T, text string) *view {
	t.Helper()
	var v view
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

// rounds feeds the tally a second apart and returns what it said of x last.
func rounds(rounds ...map[string]*view) (last chaos.ServiceSeconds) {
	tally, now := newTally(), time.Unix(0, 0)
	for _, answered := range rounds {
		last = tally.second(answered, map[string]string{"h:1": "x-1"}, now)["x"]
		now = now.Add(time.Second)
	}
	return last
}

func TestTally(t *testing.T) {
	type round = map[string]*view
	tests := []struct {
		name         string
		rounds       []round
		calls, tries float64
		one, two     float64
		callers      int
	}{
		{
			"the first answer counts nothing: it may be hours",
			[]round{{"a": says(t, 100, 50, 50)}}, 0, 0, 0, 0, 1,
		},
		{
			"growth, of two callers together",
			[]round{{"a": says(t, 100, 50, 50), "b": says(t, 7, 7, 0)}, {"a": says(t, 110, 58, 54), "b": says(t, 17, 15, 0)}},
			20, 1, 16, 4, 2,
		},
		{
			"retries are tries and not calls",
			[]round{{"a": says(t, 0, 0, 0)}, {"a": says(t, 10, 8, 4)}}, 10, 1.2, 8, 4, 1,
		},
		{
			"a caller that was killed begins again at 0",
			[]round{{"a": says(t, 100, 50, 50)}, {"a": says(t, 6, 4, 2)}}, 6, 1, 4, 2, 1,
		},
		{
			"and where its successor is asked later, too",
			[]round{{"a": says(t, 100, 50, 50)}, {}, {"a": says(t, 6, 4, 2)}}, 6, 1, 4, 2, 1,
		},
		{
			"one that was silent counts from its second answer on: the time between is no second",
			[]round{{"a": says(t, 100, 50, 50)}, {}, {}, {"a": says(t, 400, 200, 200)}}, 0, 0, 0, 0, 1,
		},
		{
			"which then counts",
			[]round{{"a": says(t, 100, 50, 50)}, {}, {"a": says(t, 400, 200, 200)}, {"a": says(t, 410, 205, 205)}}, 10, 1, 5, 5, 1,
		},
		{
			"a called instance that was killed begins again for a caller that lives",
			[]round{{"a": says(t, 100, 50, 50)}, {"a": says(t, 110, 5, 55)}}, 10, 1, 5, 5, 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := rounds(tt.rounds...)
			if got.Calls != tt.calls || got.Tries != tt.tries || got.Callers != tt.callers ||
				got.Instances["x-1"] != tt.one || got.Instances["x-2"] != tt.two {
				t.Errorf("%+v, want calls %v, tries %v, x-1 %v, x-2 %v of %d callers", got, tt.calls, tt.tries, tt.one, tt.two, tt.callers)
			}
		})
	}
}

// Who is out is counted by caller, clients of one service in one process being
// one, and instances that only an address names get their id.
func TestTallyOfThoseOut(t *testing.T) {
	a := page(t, `{"targets": [{"service": "x", "calls": 5, "members": [
		{"id": "x-1", "addr": "h:1", "breaker": "open", "ejected": "breaker"},
		{"id": "x-2", "addr": "h:2", "breaker": "closed", "suspect": true}]},
		{"service": "x", "calls": 5, "members": [{"id": "x-1", "addr": "h:1", "breaker": "half-open"}]}]}`)
	b := page(t, `{"targets": [{"service": "x", "calls": 5, "members": [{"id": "h:1", "addr": "h:1", "breaker": "open"}, {"id": "h:9", "addr": "h:9"}]}]}`)
	got := rounds(map[string]*view{"a": a, "b": b})
	if got.Callers != 2 || !maps.Equal(got.Open, map[string]int{"x-1": 2}) || !maps.Equal(got.Ejected, map[string]int{"x-1": 1, "x-2": 1}) {
		t.Errorf("%+v, want the breaker of x-1 open at 2 callers, and x-1 and x-2 out at 1 each", got)
	}
	if known := slices.Sorted(maps.Keys(got.Instances)); !slices.Equal(known, []string{"h:9", "x-1", "x-2"}) {
		t.Errorf("instances %q", known)
	}
}

// The elapsed time is measured: a late round is not a busy one.
func TestTallyPerSecond(t *testing.T) {
	tally, now := newTally(), time.Unix(0, 0)
	tally.second(map[string]*view{"a": says(t, 0, 0, 0)}, nil, now)
	got := tally.second(map[string]*view{"a": says(t, 30, 15, 15)}, nil, now.Add(1500*time.Millisecond))["x"]
	if got.Calls != 20 || got.Instances["x-1"] != 10 || got.Tries != 1 {
		t.Errorf("%+v of 30 calls in 1.5 s, want 20 per second", got)
	}
}

// A killed instance takes what was counted of it along; its tries were made.
func TestTallyOfForgottenMembers(t *testing.T) {
	got := rounds(
		map[string]*view{"a": says(t, 100, 50, 50)},
		map[string]*view{"a": page(t, `{"targets": [{"service": "x", "calls": 120, "retries": 2, "members": [
			{"id": "x-2", "addr": "h:2", "breaker": "closed", "picks": 60}]}]}`)},
	)
	if got.Calls != 20 || got.Tries != 1.1 {
		t.Errorf("%v calls, %v tries each; want 20 and 1.1", got.Calls, got.Tries)
	}
}
