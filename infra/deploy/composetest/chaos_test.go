//go:build compose

package composetest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// survives runs an experiment on the stack: what its actions do is seen from the
// engine meanwhile, and the stack is as it was afterwards.
func survives(t *testing.T) {
	for attempt := range loadAttempts {
		j, seen := experiment(t)
		registered(t)
		for _, want := range []string{"paused", "off the network"} {
			if !seen[want] {
				t.Errorf("no container was seen %s", want)
			}
		}
		if j.Audit == nil || j.Audit.Orders == 0 || j.Audit.Violations > 0 {
			t.Errorf("the audit: %+v", j.Audit)
		}
		switch {
		case t.Failed() || held(j):
			return
		case late(j) == 0 || attempt == loadAttempts-1:
			t.Fatalf("%s: %s; %+v", j.Verdict, j.Why, j.Probes)
		}
		t.Logf("%d requests were sent late: the machine is too busy to judge; once more", late(j))
	}
}

// held reports whether every probe was within its tolerance. The verdict may yet
// be that the run is inconclusive, because requests were sent late: here it does
// not matter how soon customers were served.
func held(j chaos.Journal) bool {
	for _, p := range j.Probes {
		if !p.Held {
			return false
		}
	}
	return len(j.Probes) > 0
}

func late(j chaos.Journal) (n int64) {
	for _, p := range j.Phases {
		n += p.Stats.Late
	}
	return n
}

// experiment runs it and reports what was seen of the containers while it ran.
func experiment(t *testing.T) (j chaos.Journal, seen map[string]bool) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		out, err := try(t, 3*time.Minute, tool(t), "chaos", "run", "infra/deploy/composetest/testdata/containers.yaml", "--target", "compose", "-o", "json")
		if bad := json.Unmarshal([]byte(out), &j); bad != nil {
			ended <- errors.Join(bad, err)
			return
		}
		ended <- nil // a verdict other than held is an exit code, and for the caller to judge
	}()
	seen = map[string]bool{}
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range j.Events {
				if e.Error != "" {
					t.Errorf("%s %s %s: %s", e.Kind, e.Name, e.Target, e.Error)
				}
				t.Log(e.Kind, e.Name, e.Target, e.Text)
			}
			t.Log(j.Verdict, j.Why, j.Probes, j.Phases)
			return j, seen
		case <-time.After(500 * time.Millisecond):
		}
		pricing := docker(t, oneCommand, "ps", "--filter", "label=com.docker.compose.service=pricing", "--filter", "status=paused", "--quiet")
		seen["paused"] = seen["paused"] || pricing != ""
		ids := strings.Fields(docker(t, oneCommand, "ps", "--filter", "label=com.docker.compose.service=shipping", "--quiet"))
		networks := docker(t, oneCommand, append([]string{"inspect", "--format", "{{len .NetworkSettings.Networks}}"}, ids...)...)
		seen["off the network"] = seen["off the network"] || strings.Contains(networks, "0")
	}
}
