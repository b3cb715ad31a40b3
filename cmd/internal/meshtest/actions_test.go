package meshtest

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// hurt is a mesh with proxies in its lines, and a lab.
type hurt struct {
	*mesh
	fleet *runner.Local
	lab   *action.Lab
	dir   string
}

// TestActions does each action of the chaos lab to a mesh, looks at its effect
// from outside and undoes it; then again with a tool that is killed.
func TestActions(t *testing.T) {
	m := up(t, "hurt", "--instances", "2", "--rate", "0", "--zipkin", "embedded", "--proxies", "--experiments")
	t.Setenv("KITMESH_HOME", m.home)
	fleet, err := runner.Open(m.name)
	if err != nil {
		t.Fatal(err)
	}
	h := &hurt{mesh: m, fleet: fleet, dir: filepath.Join(m.home, "chaos")}
	for _, test := range []struct {
		name string
		run  func(*hurt)
	}{
		{"pause", (*hurt).testPause},
		{"kill and restart", (*hurt).testKill},
		{"slow", (*hurt).testSlow},
		{"fail", (*hurt).testFail},
		{"burn", (*hurt).testBurn},
		{"one request's fault", (*hurt).testAskedFault},
		{"latency", (*hurt).testLatency},
		{"loss", (*hurt).testLoss},
		{"reset", (*hurt).testReset},
		{"partition from a peer", (*hurt).testPartitionPeer},
		{"partition from Consul", (*hurt).testPartitionConsul},
		{"scale", (*hurt).testScale},
		{"canary", (*hurt).testCanary},
		{"rolling restart", (*hurt).testRolling},
		{"the tool is killed", (*hurt).testCrashes},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := *m
			inner.t = t
			sub := &hurt{mesh: &inner, fleet: h.fleet, dir: h.dir}
			sub.well()
			if sub.lab, err = action.Open(fleet, h.dir); err != nil {
				t.Fatal(err)
			}
			defer sub.lab.Close() // what is left in the log fails the next Open
			test.run(sub)
		})
	}
}

// well waits until everybody is there.
func (h *hurt) well() {
	h.t.Helper()
	eventually(h.t, 30*time.Second, "everybody is there", func() error { return h.allPassing(2) })
}

func (h *hurt) current() runner.State {
	h.t.Helper()
	state, err := h.fleet.State(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return state
}

func (h *hurt) instance(id string) runner.Instance {
	h.t.Helper()
	for _, i := range h.current().Instances {
		if i.ID == id {
			return i
		}
	}
	h.t.Fatalf("there is no %s", id)
	return runner.Instance{}
}

// begin starts an action and returns it with the instances that it told of.
func (h *hurt) begin(s action.Spec, target action.Target) (*action.Running, []string) {
	h.t.Helper()
	told := make(chan string, 100)
	r, err := h.lab.Start(h.t.Context(), s, target, 7, func(n action.Note) {
		h.t.Logf("%s %s: %s %v", n.Action, n.Target, n.Text, errors.Join(n.Err))
		if n.Kind == "action" {
			select {
			case told <- n.Target:
			default:
			}
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	var victims []string
	for len(told) > 0 {
		victims = append(victims, <-told)
	}
	return r, victims
}

func (h *hurt) stop(r *action.Running) {
	h.t.Helper()
	began := time.Now()
	if err := r.Stop(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Logf("undone in %v", time.Since(began).Round(time.Millisecond))
}

var aCatalog = action.Target{Service: "catalog", MinHealthy: 1}
