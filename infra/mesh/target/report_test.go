package target_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

// The brief page leaves the settings out and counts calls, not tries.
func TestBriefPage(t *testing.T) {
	x := of(t, 3, target.Options{})
	fails := true
	err := x.Do(t.Context(), read, func(context.Context, *target.Member) error {
		if fails {
			fails = false
			return fault.New(fault.Unavailable, "down")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	target.Handler(func() []*target.Target { return []*target.Target{x} }).ServeHTTP(rec, httptest.NewRequest("GET", "/mesh?brief", nil))
	var page struct{ Targets []target.Report }
	if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	r, picks := page.Targets[0], uint64(0)
	for _, m := range r.Members {
		picks += m.Picks
	}
	if r.Settings != nil || r.Calls != 1 || r.Retries != 1 || picks != 2 {
		t.Errorf("settings %v, %d calls, %d retries, %d picks; want none, 1, 1 and 2", r.Settings, r.Calls, r.Retries, picks)
	}
}

// The page tells the settings in force, defaults included, durations as text.
func TestPageTellsTheSettings(t *testing.T) {
	x := of(t, 30, target.Options{Balance: target.Balance{Zone: "a", Subset: 20, SlowStart: time.Minute}, Retry: target.Retry{Once: []string{"x.Note"}}})
	rec := httptest.NewRecorder()
	target.Handler(func() []*target.Target { return []*target.Target{x} }).ServeHTTP(rec, httptest.NewRequest("GET", "/mesh", nil))
	var page struct {
		Targets []struct {
			Settings map[string]json.RawMessage `json:"settings"`
			Known    int                        `json:"known"`
			Members  []struct{}                 `json:"members"`
		} `json:"targets"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	one := page.Targets[0]
	if one.Known != 30 || len(one.Members) != 20 {
		t.Errorf("%d known, %d used, want 30 and 20", one.Known, len(one.Members))
	}
	for part, want := range map[string][]string{
		"balance": {`"policy":"peak-ewma"`, `"zone":"a"`, `"subset":20`, `"slow_start":"1m0s"`, `"decay":"10s"`},
		"retry":   {`"max":3`, `"once":["x.Note"]`, `"base":"5ms"`},
		"breaker": {`"consecutive_failures":5`, `"open_for":"1s"`},
		"drain":   {`"5s"`},
	} {
		got := strings.Join(strings.Fields(string(one.Settings[part])), "")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %s, want %s in it", part, got, w)
			}
		}
	}
}
