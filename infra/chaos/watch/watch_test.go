package watch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/chaos"
	"github.com/kitmesh/kitmesh/infra/chaos/watch"
	"github.com/kitmesh/kitmesh/infra/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fleet struct {
	state runner.State
	err   error
}

func (f fleet) State(context.Context) (runner.State, error) { return f.state, f.err }

// caller is an admin port; each question adds ten calls of pricing-1.
func caller(t *testing.T) string {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mesh" || !r.URL.Query().Has("brief") {
			t.Errorf("asked for %s", r.URL)
		}
		n := 10 * asked.Add(1)
		fmt.Fprintf(w, `{"targets": [{"service": "pricing", "calls": %d, "members": [{"id": "pricing-1", "addr": "h:1", "picks": %d}]}]}`, n, n)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// hung is an admin port of a paused process: the kernel takes the connection.
func hung(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	return s.URL
}

// A paused and a dead instance are named and stall nobody.
func TestRun(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	state := runner.State{
		Instances: []runner.Instance{
			{Service: "gateway", ID: "gateway-1", Admin: caller(t)},
			{Service: "gateway", ID: "gateway-2", Admin: hung(t)},
			{Service: "orders", ID: "orders-1", Admin: dead.URL},
			{Service: "orders", ID: "orders-2"}, // a stopped container has no address
		},
		Parts: []runner.Part{{Name: "edge", Admin: caller(t)}, {Name: "consul"}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seconds []int
	err := watch.Run(ctx, watch.Options{Fleet: fleet{state: state}, Began: time.Now().Add(-5 * time.Second)},
		func(second int, mesh map[string]chaos.ServiceSeconds, silent []string) {
			seconds = append(seconds, second)
			if !slices.Equal(silent, []string{"gateway-2", "orders-1", "orders-2"}) {
				t.Errorf("silent are %q", silent)
			}
			p := mesh["pricing"]
			if p.Callers != 2 || p.Calls <= 0 || p.Tries != 1 || p.Instances["pricing-1"] != p.Calls {
				t.Errorf("pricing: %+v", p)
			}
			if len(seconds) == 2 {
				cancel()
			}
		})
	if err != nil {
		t.Error(err)
	}
	if !slices.Equal(seconds, []int{5, 6}) {
		t.Errorf("seconds %v, want 5 and 6: the mesh began 5 s ago", seconds)
	}
}

func TestRunSeesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o := watch.Options{Began: time.Now(), Fleet: fleet{state: runner.State{Instances: []runner.Instance{{ID: "a-1", Admin: "http://127.0.0.1:1"}}}}}
	err := watch.Run(ctx, o, func(_ int, _ map[string]chaos.ServiceSeconds, silent []string) {
		if !slices.Equal(silent, []string{"a-1"}) {
			t.Errorf("silent are %q", silent)
		}
		cancel()
	})
	if err == nil || !strings.Contains(err.Error(), "none of 1 admin ports answers") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody answered, and Run says %v", err)
	}
	for name, f := range map[string]fleet{"it fails": {err: errors.New("no such mesh")}, "nothing runs": {}} {
		if err := watch.Run(t.Context(), watch.Options{Fleet: f}, nil); err == nil || !strings.Contains(err.Error(), "does not say") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
