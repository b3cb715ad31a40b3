package mesh_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	mesh "github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// TestChildServes is an instance in a process of its own, for TestKill.
func TestChildServes(t *testing.T) {
	id, url := os.Getenv("MESH_TEST_SERVE"), os.Getenv("MESH_TEST_CONSUL")
	if id == "" {
		t.Skip("not a test; the process that TestKill kills")
	}
	s := servertest.Serve(t, "127.0.0.1:0")
	r := registry.New(meshClient(t, url), registry.Registration{Service: "x", ID: id, Addr: s.Addr}, nil, nil)
	r.Register()
	time.Sleep(time.Minute) // the parent kills it long before
}

// Processes die by SIGKILL, one after the other, and come back at another port;
// no call fails.
func TestKill(t *testing.T) {
	const kills = 6
	consul := consultest.Start(t)
	client := consul.Client()
	spawn := func(id string) *exec.Cmd {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildServes$")
		child.Env = append(os.Environ(), "MESH_TEST_SERVE="+id, "MESH_TEST_CONSUL="+consul.URL())
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait() // reports the kill, or that it was waited for
		})
		return child
	}
	var fleet [3]*exec.Cmd
	for n := range fleet {
		fleet[n] = spawn(fmt.Sprint("x-", n))
	}
	m := mesh.New(mesh.Options{Consul: client, Target: target.Options{Metrics: target.NewMetrics(prometheus.NewRegistry())}})
	defer m.Close()
	x := m.Target("x")
	all := func() bool {
		members := x.Report().Members
		return len(members) == 3 && !slices.ContainsFunc(members, func(m target.MemberReport) bool { return m.Doubted })
	}
	if !eventually(20*time.Second, all) {
		t.Fatalf("found %+v", x.Report())
	}
	var took []string
	end := sync.OnceValues(load(x.Endpoint("x.M", servertest.Dial), 5*time.Millisecond))
	defer end()
	for n := range kills {
		victim := fmt.Sprint("x-", n%3)
		old := addrOf(x, victim)
		_ = fleet[n%3].Process.Kill()
		killed := time.Now()
		if !eventually(10*time.Second, func() bool { return addrOf(x, victim) == "" }) {
			t.Errorf("%s at %s is still known 10 s after kill -9", victim, old)
		}
		took = append(took, time.Since(killed).Round(time.Millisecond).String())
		fleet[n%3] = spawn(victim)
		if !eventually(20*time.Second, all) {
			t.Fatalf("%s did not return: %+v", victim, x.Report())
		}
	}
	calls, failures := end()
	t.Logf("%d calls, %d retries; out of the set after %s", calls, x.Report().Retries, strings.Join(took, ", "))
	if len(failures) > 0 {
		t.Errorf("%d of %d calls failed, the first: %v", len(failures), calls, failures[0])
	}
}

func addrOf(x *target.Target, id string) string {
	for _, m := range x.Report().Members {
		if m.ID == id {
			return m.Addr
		}
	}
	return ""
}
