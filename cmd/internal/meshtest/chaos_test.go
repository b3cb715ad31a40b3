package meshtest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// TestChaos runs three experiments, shortened, each on a mesh of its own, as a
// user would. A machine that other tests share may be too busy to tell times: then
// the verdict may be inconclusive, but nothing may be lost, and the fault must be
// seen in what the tool says.
func TestChaos(t *testing.T) {
	bin, err := filepath.Abs("../../../bin/kitmesh")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chaos.html")
	m := &mesh{t: t, home: t.TempDir(), bin: bin, name: "none"} // each experiment has a mesh of its own
	out, err := m.try("chaos", "run", "kill-one", "kill-consul", "errors-one", "--up", "--scale", "0.2", "--report", file, "-o", "json")
	var journals []chaos.Journal
	if e := json.Unmarshal(out, &journals); e != nil || len(journals) != 3 {
		t.Fatalf("%d journals: %v, %v", len(journals), e, err)
	}
	for _, j := range journals {
		t.Logf("%s: %s, %s", j.Name, j.Verdict, j.Why)
		switch {
		case j.Code() == chaos.Violated || j.Code() == chaos.Aborted:
			t.Errorf("%s: %s, %s", j.Name, j.Verdict, j.Why)
		case j.Audit == nil || j.Audit.Violations > 0 || j.Audit.Orders == 0:
			t.Errorf("%s: the audit says %+v", j.Name, j.Audit)
		case !struck(j):
			t.Errorf("%s: no action is among its events: %+v", j.Name, j.Events)
		}
	}
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	}
	if worst := chaos.Worst(journals); code != int(worst) {
		t.Errorf("exit code %d, the worst verdict is %s", code, worst)
	}
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "kill-consul") {
		t.Errorf("the report: %v", err)
	}
	for _, j := range journals {
		m.name = "chaos-" + j.Name
		m.noProcessLeft()
	}
}

// struck reports whether something was done in the fault phase.
func struck(j chaos.Journal) bool {
	done := false
	for _, e := range j.Events {
		done = done || e.Kind == "action" && e.Error == "" && e.Target != ""
	}
	return done
}
