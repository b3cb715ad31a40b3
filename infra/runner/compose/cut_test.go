package compose

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func TestCutAndJoin(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(fmt.Sprintf("subnet of its own %v", own), func(t *testing.T) {
			e := stack()
			e.ownSubnet = own
			f := open(t, e).(*Fleet)
			links, err := f.Links(t.Context(), "catalog-1")
			if err != nil || string(links) != `{"kitmesh_default":{"aliases":["catalog"],"ip":"172.20.0.7"}}` {
				t.Fatalf("%s %v", links, err)
			}
			if err := f.Cut(t.Context(), "catalog-1"); err != nil {
				t.Fatal(err)
			}
			if none, _ := f.Links(t.Context(), "catalog-1"); string(none) != "{}" {
				t.Fatalf("still on %s", none)
			}
			for _, want := range []bool{true, false} {
				if joined, err := f.Join(t.Context(), "catalog-1", links); err != nil || joined != want {
					t.Fatalf("joined %v, %v; want %v", joined, err, want)
				}
			}
			if !slices.Contains(e.asked, "kitmesh_default/connect catalog 172.20.0.7") {
				t.Errorf("neither alias nor address is restored: %q", e.asked)
			}
			// With another address, what Consul knows is wrong until a restart.
			if restarted := slices.Contains(e.asked, "restart catalog-1"); restarted == own {
				t.Errorf("restarted %v: %q", restarted, e.asked)
			}
		})
	}
}

func TestHire(t *testing.T) {
	e := stack()
	f := open(t, e).(*Fleet)
	h := runner.Hire{Name: "catalog-v3", Service: "catalog", Version: "v3", Faults: runner.Faults{ErrorRate: 0.5}}
	_, _ = f.Hire(t.Context(), h) // the fake does not list what it creates
	if !slices.Contains(e.asked, "create kitmesh-catalog-v3") {
		t.Fatalf("%q", e.asked)
	}
	env := fmt.Sprint(e.created["Env"])
	if !strings.Contains(env, "KITMESH_VERSION=v3") || strings.Contains(env, "KITMESH_VERSION=v2") || !strings.Contains(env, `KITMESH_FAULTS={"error_rate":0.5}`) {
		t.Errorf("env %s", env)
	}
	if labels := fmt.Sprint(e.created["Labels"]); !strings.Contains(labels, labelExtra+":catalog-v3") {
		t.Errorf("labels %s", labels)
	}
	if err := f.Dismiss(t.Context(), "catalog-1"); err == nil {
		t.Error("dismissed one of the service's own")
	}
	if err := f.Dismiss(t.Context(), "catalog-v9"); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}
