package audittest

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

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// program is the one that a bug is built into.
var program = map[string]string{
	"lost-update":       "inventory",
	"double-charge":     "payments",
	"ack-before-store":  "orders",
	"skip-refund":       "orders",
	"forget-release":    "orders",
	"retry-without-key": "payments",
}

// wholeMesh skips tests that start meshes unless they were asked for.
func wholeMesh(t *testing.T) {
	t.Helper()
	if os.Getenv("KITMESH_TEST_AUDIT") == "" {
		t.Skip("starts whole meshes: make test-audit")
	}
}

// TestMesh gives a mesh without a bug the treatment that TestMeshBugs gives
// those with one, and expects no violation.
func TestMesh(t *testing.T) {
	wholeMesh(t)
	for run := range runs() {
		t.Run(fmt.Sprint(run+1), func(t *testing.T) {
			report := treat(t, programs(t))
			var r audit.Report
			must(t, json.Unmarshal(report, &r))
			t.Logf("%d orders, %d violations", r.Orders, r.Violations)
			if !r.Held() || r.Orders == 0 {
				_ = r.WriteText(t.Output())
				t.Error("violations without a bug")
			}
		})
	}
}

// TestMeshBugs builds one program of the mesh with one bug at a time and
// expects kitmesh audit to find each, every time.
func TestMeshBugs(t *testing.T) {
	wholeMesh(t)
	for _, file := range patches(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		t.Run(name, func(t *testing.T) {
			bin := programs(t)
			broken := filepath.Join(bin, program[name])
			must(t, os.Remove(broken))
			build(t, file, "build", "-trimpath", "-ldflags=-s -w", "-o", broken, "../../"+program[name])
			for run := range runs() {
				t.Run(fmt.Sprint(run+1), func(t *testing.T) { expectFound(t, treat(t, bin), bugs[name]) })
			}
		})
	}
}

// programs returns a folder with the programs that make build built.
func programs(t *testing.T) string {
	t.Helper()
	from, err := filepath.Abs(filepath.Join(root, "bin"))
	must(t, err)
	dir := t.TempDir()
	for _, name := range append([]string{"kitmesh"}, runner.Services...) {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatalf("%v: run make build", err)
		}
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o700))
	}
	consul, err := filepath.EvalSymlinks(filepath.Join(from, "consul"))
	must(t, err)
	must(t, os.Symlink(consul, filepath.Join(dir, "consul")))
	return dir
}

// treat starts a mesh whose provider declines and loses answers and whose
// shipping refuses some parcels, sends customers who fight over a few products,
// kills instances meanwhile, and returns the audit's report.
func treat(t *testing.T, bin string) []byte {
	t.Helper()
	var state runner.State
	m := startMesh(t, bin, &state, "--instances", "2", "--provider", "latency=1ms,decline-rate=0.1,error-after-rate=0.5,lose-reply-rate=0.1")
	for _, i := range state.Instances {
		if i.Service == "shipping" {
			m.refuse(i.Admin)
		}
	}
	over := make(chan error, 1)
	go func() {
		_, err := m.try("load", "--rate", "80", "--duration", "6s", "--mix", "browse=40,checkout=60", "--probes", "0.4",
			"--only", "air-press,apron-linen,biscuit-ginger-150,biscuit-shortbread-200", "--arrivals", "poisson",
			"--browse-deadline", "5s", "--checkout-deadline", "10s", "--history", "auto")
		over <- err
	}()
	for _, victim := range []string{"orders", "payments", "inventory", "orders"} {
		time.Sleep(time.Second) // of the load, not for something to happen
		m.run("kill", victim)
	}
	loadErr := <-over // an order that is not there is for the audit to say
	report, err := m.try("audit", "-o", "json", "--patience", "15s")
	if len(report) == 0 {
		t.Fatalf("%v; load: %v", err, loadErr)
	}
	return report
}

// mesh is a mesh that the test started.
type mesh struct {
	t         *testing.T
	bin, home string
}

// startMesh starts a mesh of the programs in bin, without load, and ends it with
// the test.
func startMesh(t *testing.T, bin string, state *runner.State, args ...string) *mesh {
	t.Helper()
	m := &mesh{t: t, bin: filepath.Join(bin, "kitmesh"), home: t.TempDir()}
	t.Cleanup(func() {
		if out, err := m.try("down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	out := m.run(append([]string{"up", "--isolated", "--detach", "-o", "json", "--rate", "0", "--zipkin", "embedded", "--timeout", "2m"}, args...)...)
	must(t, json.Unmarshal(out, state))
	return m
}

func (m *mesh) try(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.bin, append(args, "--name", "audited")...)
	cmd.Env = append(os.Environ(), "KITMESH_HOME="+m.home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("kitmesh %s: %w: %s", args[0], err, stderr.String())
	}
	return stdout.Bytes(), nil
}

func (m *mesh) run(args ...string) []byte {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// refuse has an instance answer a part of its requests with a conflict, which
// is for good: orders turn round after their money was authorised.
func (m *mesh) refuse(admin string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, admin+"/faults", strings.NewReader(`{"error_rate":0.15,"code":"conflict"}`))
	must(m.t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(m.t, err)
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		body, _ := io.ReadAll(resp.Body)
		m.t.Fatalf("%s/faults: %s %s", admin, resp.Status, body)
	}
}
