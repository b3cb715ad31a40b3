package audittest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/audit"
)

// root is the folder of the module.
const root = "../../.."

// bugs are testdata/bugs/*.patch and, for each, the checks that must find it.
var bugs = map[string][]string{
	"lost-update":       {"stock"}, // customers see it, and linear-stock with them, only where one looks in time
	"double-charge":     {"once", "money"},
	"ack-before-store":  {"reads", "linear-status"},
	"skip-refund":       {"money"},
	"forget-release":    {"stock"},
	"retry-without-key": {"once", "money"},
}

// TestBugs builds TestShop with one bug at a time and expects the audit to find
// each, every time. KITMESH_AUDIT_RUNS says how often; 1 is the default.
func TestBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the shop once per bug")
	}
	for _, file := range patches(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		t.Run(name, func(t *testing.T) {
			if len(bugs[name]) == 0 {
				t.Fatal("no check is named that must find it")
			}
			broken := filepath.Join(t.TempDir(), "shop.test")
			build(t, file, "test", "-c", "-ldflags=-s -w", "-o", broken, ".")
			for run := range runs() {
				t.Run(fmt.Sprint(run+1), func(t *testing.T) { caught(t, broken, bugs[name]) })
			}
		})
	}
}

// runs is how often each bug must be found.
func runs() int {
	n, _ := strconv.Atoi(os.Getenv("KITMESH_AUDIT_RUNS"))
	return max(1, n)
}

// caught runs a shop with a bug and expects that the checks, and the verdict,
// say so.
func caught(t *testing.T, program string, by []string) {
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestShop$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), envReport+"="+report)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("the audit found nothing:\n%s", out)
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	expectFound(t, data, by)
}

// expectFound fails unless each of the checks has a violation in the report.
func expectFound(t *testing.T, report []byte, by []string) {
	t.Helper()
	var r audit.Report
	if err := json.Unmarshal(report, &r); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, c := range r.Checks {
		if n := len(c.Violations); n > 0 {
			found[c.Name] = n
			t.Logf("%s: %s", c.Name, c.Violations[0])
		}
	}
	t.Logf("%d violations in %d orders: %v", r.Violations, r.Orders, found)
	for _, name := range by {
		if found[name] == 0 {
			t.Errorf("%s did not find it", name)
		}
	}
}

func patches(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/bugs/*.patch")
	must(t, err)
	if len(files) != len(bugs) {
		t.Fatalf("%d patches, %d bugs", len(files), len(bugs))
	}
	return files
}

// build runs the go command with a patch laid over the sources, which stay as
// they are.
func build(t *testing.T, patch string, args ...string) {
	t.Helper()
	overlay := overlayOf(t, patch)
	full := append([]string{args[0], "-overlay", overlay}, args[1:]...)
	cmd := exec.CommandContext(t.Context(), "go", full...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(full, " "), err, out.String())
	}
}

// overlayOf writes the changed files and the list of them that the go command
// takes.
func overlayOf(t *testing.T, patch string) string {
	t.Helper()
	text, err := os.ReadFile(patch)
	must(t, err)
	p, err := ParsePatch(string(text))
	must(t, err)
	changed, err := p.Apply(func(name string) (string, error) {
		data, err := os.ReadFile(filepath.Join(root, name))
		return string(data), err
	})
	must(t, err)
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range changed {
		place, err := filepath.Abs(filepath.Join(root, name))
		must(t, err)
		instead := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		must(t, os.WriteFile(instead, []byte(text), 0o600))
		replace[place] = instead
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(overlay, list, 0o600))
	return overlay
}
