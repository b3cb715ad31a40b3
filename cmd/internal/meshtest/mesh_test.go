// Package meshtest runs the whole mesh as its users do, through bin/kitmesh,
// and breaks it.
package meshtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// mesh is one running mesh.
type mesh struct {
	t     *testing.T
	name  string
	home  string
	bin   string
	state runner.State
}

// up starts a mesh on free ports and ends it with the test.
func up(t *testing.T, name string, args ...string) *mesh {
	t.Helper()
	bin, err := filepath.Abs("../../../bin/kitmesh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	m := &mesh{t: t, name: name, home: t.TempDir(), bin: bin}
	t.Cleanup(func() {
		if t.Failed() {
			m.logTail()
		}
		if out, err := m.try("down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
		m.noProcessLeft()
	})
	began := time.Now()
	out := m.run(append([]string{"up", "--isolated", "--detach", "-o", "json", "--timeout", "2m"}, args...)...)
	t.Logf("%s is up after %v", name, time.Since(began).Round(100*time.Millisecond))
	if err := json.Unmarshal(out, &m.state); err != nil {
		t.Fatalf("up -o json: %v\n%s", err, out)
	}
	return m
}

// commandPatience ends a command that hangs; the longest, a load, takes five minutes
// and what was under way then.
const commandPatience = 10 * time.Minute

// try runs a kitmesh command on the mesh and returns what it says on stdout.
func (m *mesh) try(args ...string) ([]byte, error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.bin, append(args, "--name", m.name)...)
	cmd.Env = append(os.Environ(), "KITMESH_HOME="+m.home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("kitmesh %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

func (m *mesh) run(args ...string) []byte {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// get decodes a JSON answer into v and returns the response.
func get(t *testing.T, url string, v any) *http.Response {
	t.Helper()
	resp, err := tryGet(t.Context(), url, v)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

var client = &http.Client{Timeout: 10 * time.Second}

func tryGet(ctx context.Context, url string, v any) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return do(req, v)
}

func do(req *http.Request, v any) (*http.Response, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp, err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return resp, fmt.Errorf("%s %s: %d %s: %w", req.Method, req.URL, resp.StatusCode, body, err)
	}
	return resp, nil
}

// eventually polls until check returns nil, at most for within.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > within {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// passing counts the passing instances of each service in Consul.
func (m *mesh) passing(ctx context.Context) (map[string]int, error) {
	var checks []struct{ ServiceName string }
	if _, err := tryGet(ctx, m.state.Consul+"/v1/health/state/passing", &checks); err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, c := range checks {
		if c.ServiceName != "" {
			n[c.ServiceName]++
		}
	}
	return n, nil
}

// allPassing fails unless Consul knows instances passing instances of each.
func (m *mesh) allPassing(instances int) error {
	n, err := m.passing(m.t.Context())
	if err != nil {
		return err
	}
	for _, s := range runner.Services {
		if n[s] != instances {
			return fmt.Errorf("%s has %d passing instances, want %d (%v)", s, n[s], instances, n)
		}
	}
	for _, i := range m.status().Instances { // one that was just killed passes until its TTL is over
		if i.Status != "running" {
			return fmt.Errorf("%s is %s", i.ID, i.Status)
		}
	}
	return nil
}

// loadResult is what kitmesh load prints.
type loadResult struct {
	Requests int            `json:"requests"`
	Success  float64        `json:"success"`
	Failures map[string]int `json:"failures"`
	Tries    float64        `json:"tries_per_request"`
	P50      float64        `json:"p50_ms"`
	P99      float64        `json:"p99_ms"`
	Max      float64        `json:"max_ms"`
}

// How hard the mesh is tried. make test-kill asks for what the README promises,
// which takes ten minutes and a machine with nothing else to do.
var (
	rate     = 60
	duration = 8 * time.Second
	outage   = 5 * time.Second // of Consul
)

func init() {
	if os.Getenv("KITMESH_TEST_KILL") != "" {
		rate, duration, outage = 200, time.Minute, 30*time.Second
	}
}

// underLoad runs hurt while customers browse and order, and expects that none
// of them notices and that every order they were told of exists once.
func (m *mesh) underLoad(hurt func(ctx context.Context)) {
	m.t.Helper()
	eventually(m.t, 30*time.Second, "everybody is there", func() error { return m.allPassing(3) })
	ctx, over := context.WithCancel(m.t.Context())
	var out []byte
	var err error
	go func() { // t.Fatal is for the test's own goroutine, where hurt runs
		defer over()
		out, err = m.try("load", "--rate", fmt.Sprint(rate), "--duration", duration.String(), "--verify-orders", "--min-success", "1",
			"--browse-deadline", "3s", "--checkout-deadline", "8s", "-o", "json")
	}()
	hurt(ctx)
	<-ctx.Done()
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	var r loadResult
	if err := json.Unmarshal(out, &r); err != nil {
		m.t.Fatalf("load -o json: %v\n%s", err, out)
	}
	if r.Success != 1 || r.Requests < rate {
		m.t.Fatalf("%s", out)
	}
	m.t.Logf("%d requests, no failure, %.3f tries each, p50 %.1f ms, p99 %.1f ms, max %.0f ms", r.Requests, r.Tries, r.P50, r.P99, r.Max)
}

// every calls do at once and then at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// noProcessLeft fails when a process of the mesh is still there.
func (m *mesh) noProcessLeft() {
	m.t.Helper()
	mark := "KITMESH_MESH=" + filepath.Join(m.home, m.name)
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range procs {
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte(mark)) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			m.t.Errorf("still running: %s", bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
		}
	}
}

// logTail shows the end of every log that speaks of trouble.
func (m *mesh) logTail() {
	logs, _ := filepath.Glob(filepath.Join(m.home, m.name, "logs", "*.log"))
	for _, file := range logs {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 {
			continue
		}
		m.t.Logf("%s: ...%s", filepath.Base(file), text[max(0, len(text)-1000):])
	}
}
