package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// mesh runs the kitmesh that users run, with everything it starts.
type mesh struct {
	t    *testing.T
	bin  string
	home string
}

// newMesh builds every program once more: a test must not pass on old ones.
func newMesh(t *testing.T) mesh {
	t.Helper()
	m := mesh{t: t, bin: t.TempDir(), home: t.TempDir()}
	build := exec.Command("go", "build", "-o", m.bin, "../...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return m
}

// consulProgram is the real Consul that the tests of this repository share.
func consulProgram(t *testing.T) string {
	t.Helper()
	path := os.Getenv("KITMESH_CONSUL")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "consul")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("no Consul: %v; run make bin/consul", err)
	}
	return path
}

// run runs kitmesh to its end; want is the exit code.
func (m mesh) run(want int, args ...string) (stdout string) {
	m.t.Helper()
	cmd := exec.Command(filepath.Join(m.bin, "kitmesh"), args...)
	cmd.Env = append(os.Environ(), "KITMESH_HOME="+m.home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		m.t.Fatal(err)
	}
	if code != want {
		m.t.Fatalf("kitmesh %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &out, &errs)
	}
	return out.String()
}

// up starts a mesh that the test's end takes down.
func (m mesh) up(name string, args ...string) {
	m.t.Helper()
	m.t.Cleanup(func() {
		if m.t.Failed() {
			logs := exec.Command(filepath.Join(m.bin, "kitmesh"), "logs", "--name", name)
			logs.Env = append(os.Environ(), "KITMESH_HOME="+m.home)
			text, _ := logs.CombinedOutput()
			m.t.Logf("logs of %s:\n%s", name, text[max(0, len(text)-8000):])
		}
		m.run(0, "down", "--name", name)
	})
	m.run(0, append([]string{"up", "--name", name, "--isolated", "--detach", "--instances", "1", "--zipkin", "embedded",
		"--rate", "0", "--consul", consulProgram(m.t), "--timeout", "3m"}, args...)...)
}

func (m mesh) status(name string) status {
	m.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(m.run(0, "status", "--name", name, "-o", "json")), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// eventually waits for what kitmesh does behind a command's back.
func (m mesh) eventually(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// pids lists every process of a mesh.
func (s status) pids() []int {
	var pids []int
	for _, i := range s.Instances {
		pids = append(pids, i.PID)
	}
	for _, p := range s.Parts {
		pids = append(pids, p.PID)
	}
	return pids
}

func (s status) passing() int {
	n := 0
	for _, health := range s.Health {
		if health == "passing" {
			n++
		}
	}
	return n
}

// running says whether a process is there; a zombie is not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux" && syscall.Kill(pid, 0) == nil
	}
	return !bytes.Contains(stat, []byte(") Z "))
}

// killSupervisor kills a mesh's supervisor and returns the state of that moment.
func (m mesh) killSupervisor(name string) status {
	m.t.Helper()
	s := m.status(name)
	m.run(0, "kill", "supervisor", "--name", name)
	return s
}

// gone checks that no process of a former state runs.
func (m mesh) gone(s status) {
	m.t.Helper()
	for _, pid := range s.pids() {
		if running(pid) {
			m.t.Errorf("pid %d still runs", pid)
		}
	}
}

func placeOrder(t *testing.T, gateway, key string) int {
	t.Helper()
	body := strings.NewReader(`{"lines":[{"sku":"air-press","quantity":1}]}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+"/v1/orders", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Logf("order: %v", err)
		return 0
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	t.Logf("order: %s %s", resp.Status, text)
	return resp.StatusCode
}

// TestMeshEndToEnd walks the way of a user who starts two meshes, hurts one,
// loses its supervisor to kill -9 and cleans up.
func TestMeshEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real meshes")
	}
	m := newMesh(t)
	m.up("default")
	if out := m.run(0, "up", "--name", "default"); !strings.Contains(out, "/v1/products") {
		t.Errorf("a second up does not print the URLs: %q", out)
	}
	s := m.status("default")
	if len(s.Instances) != 7 || s.passing() != 7 {
		t.Fatalf("%d instances, %d passing; want 7 of 7", len(s.Instances), s.passing())
	}
	if s.RSSBytes <= 0 || s.RSSBytes > 1<<30 {
		t.Errorf("memory %d bytes", s.RSSBytes)
	}
	m.eventually("an order is placed", func() bool {
		code := placeOrder(t, s.Gateway, "first")
		return code == http.StatusCreated || code == http.StatusAccepted
	})

	m.eventually("the order is traced through every service", func() bool {
		resp, err := http.Get(s.Zipkin + "/api/v2/services")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return !slices.ContainsFunc(runner.Services, func(service string) bool {
			return service != "catalog" && !strings.Contains(string(text), `"`+service+`"`)
		})
	})

	m.run(0, "kill", "catalog")
	m.eventually("catalog-1 is back", func() bool {
		now := m.status("default")
		i := slices.IndexFunc(now.Instances, func(i runner.Instance) bool { return i.ID == "catalog-1" })
		return now.Instances[i].Restarts == 1 && now.Health["catalog-1"] == "passing"
	})
	m.run(0, "kill", "consul", "--down-for", "1s")
	m.eventually("everybody registered again", func() bool { return m.status("default").passing() == 7 })
	m.run(0, "slow", "pricing", "--latency", "10ms")
	m.run(0, "slow", "pricing", "--clear")
	m.run(0, "scale", "shipping", "2")
	m.eventually("shipping-2 serves", func() bool { return m.status("default").Health["shipping-2"] == "passing" })
	m.run(0, "scale", "shipping", "1")
	m.eventually("shipping-2 left", func() bool { _, there := m.status("default").Health["shipping-2"]; return !there })

	m.up("two")
	two := m.status("two")
	if two.passing() != 7 || two.Gateway == s.Gateway {
		t.Errorf("two meshes do not live side by side: %d passing", two.passing())
	}
	// kill -9 of kitmesh, then down: nothing is left.
	one := m.killSupervisor("default")
	m.run(0, "down", "--name", "default")
	m.gone(one)
	if still := m.status("two"); still.passing() != 7 {
		t.Errorf("down of one hit two: %d passing", still.passing())
	}
	// kill -9 of kitmesh, then up: the old processes make room for new ones.
	left := m.killSupervisor("two")
	m.up("two")
	m.gone(left)
	if again := m.status("two"); again.passing() != 7 {
		t.Errorf("after kill -9 and up: %d passing", again.passing())
	}
	two = m.status("two")
	m.run(0, "down", "--name", "two")
	m.gone(two)
}
