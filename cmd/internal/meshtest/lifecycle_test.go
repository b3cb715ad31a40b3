package meshtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// TestLifecycle walks the way of a user with two small meshes: scale and slow
// one, lose supervisors to kill -9, clean up, start again.
func TestLifecycle(t *testing.T) {
	small := []string{"--instances", "1", "--rate", "0", "--zipkin", "embedded"}
	left, right := up(t, "left", small...), up(t, "right", small...)
	left.order("left-1", http.StatusCreated)
	right.order("right-1", http.StatusCreated)

	if again := left.run("up"); !strings.Contains(string(again), left.state.Gateway) {
		t.Errorf("a second up does not print the URLs: %q", again)
	}
	left.run("scale", "shipping", "2")
	eventually(t, 30*time.Second, "shipping-2 serves", func() error { return left.wantPassing("shipping", 2) })
	left.run("scale", "shipping", "1")
	eventually(t, 30*time.Second, "shipping-2 left", func() error { return left.wantPassing("shipping", 1) })
	left.run("slow", "pricing", "--latency", "10ms")
	left.run("slow", "pricing", "--clear")

	left.killSupervisor()
	left.run("down")
	left.noProcessLeft()
	right.order("right-2", http.StatusCreated) // the end of one mesh is not the end of another

	old := right.status()
	right.killSupervisor()
	if err := json.Unmarshal(right.run(append([]string{"up", "--isolated", "--detach", "-o", "json"}, small...)...), &right.state); err != nil {
		t.Fatal(err)
	}
	right.order("right-1", http.StatusCreated) // its data outlived it
	for _, i := range old.Instances {
		if alive(i.PID) {
			t.Errorf("%s (pid %d) of the mesh that lost its supervisor still runs", i.ID, i.PID)
		}
	}
}

func (m *mesh) status() runner.State {
	m.t.Helper()
	var s runner.State
	if err := json.Unmarshal(m.run("status", "-o", "json"), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *mesh) wantPassing(service string, want int) error {
	n, err := m.passing(m.t.Context())
	if err == nil && n[service] != want {
		err = fmt.Errorf("%d instances of %s pass, want %d", n[service], service, want)
	}
	return err
}

// killSupervisor sends SIGKILL to the process that supervises the mesh.
func (m *mesh) killSupervisor() {
	m.t.Helper()
	parts := m.status().Parts
	i := slices.IndexFunc(parts, func(p runner.Part) bool { return p.Name == "supervisor" })
	if i < 0 {
		m.t.Fatalf("status names no supervisor: %+v", parts)
	}
	pid := parts[i].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, 10*time.Second, "the supervisor is gone", func() error {
		if alive(pid) {
			return fmt.Errorf("%d lives", pid)
		}
		return nil
	})
}

// alive reports whether a process runs; one that only waits to be reaped does
// not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
