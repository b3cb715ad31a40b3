package meshtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/infra/proxy"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// toolEnv makes the test program a tool that begins an action and never ends it.
const toolEnv = "KITMESH_TEST_ACTION"

func TestMain(m *testing.M) {
	if text := os.Getenv(toolEnv); text != "" {
		if err := beTheTool(text); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// order is what the tool is to do.
type order struct {
	Mesh, Dir string
	Spec      action.Spec
	Target    action.Target
}

func beTheTool(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	fleet, err := runner.Open(o.Mesh)
	if err != nil {
		return err
	}
	lab, err := action.Open(fleet, o.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println("begins")
	struck := make(chan struct{}, 1)
	if _, err := lab.Start(ctx, o.Spec, o.Target, 1, func(action.Note) {
		select {
		case struck <- struct{}{}:
		default:
		}
	}); err != nil {
		return err
	}
	<-struck
	fmt.Println("began")
	<-ctx.Done() // to be killed
	return ctx.Err()
}

// snapshot is everything that an action may change, process ids aside.
func (h *hurt) snapshot() map[string]any {
	h.t.Helper()
	all := map[string]any{}
	state := h.current()
	for _, i := range state.Instances {
		faults, err := h.fleet.FaultsOf(h.t.Context(), i.ID)
		if i.Status != "running" {
			faults, err = runner.Faults{}, nil
		}
		all[i.ID] = fmt.Sprint(i.Status, i.Version, faults, err)
	}
	for _, p := range state.Parts {
		all[p.Name] = p.Status
	}
	lines, err := proxy.Client{URL: state.Proxy}.Lines(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, i := range state.Instances {
		for _, to := range []string{"rpc", "consul", "broker", "zipkin"} {
			l := lines[i.ID+"."+to]
			all[l.Name] = fmt.Sprint(len(l.Toxics), *l.Enabled)
		}
	}
	return all
}

// testCrashes kills the tool with -9 in the middle of each action: at once, and
// when the action is in force. Heal leaves the mesh as it was.
func (h *hurt) testCrashes() {
	_ = h.lab.Close()
	part := action.Target{Part: "zipkin"}
	before := h.snapshot()
	for n, c := range []struct {
		spec   action.Spec
		target action.Target
	}{
		{action.Spec{Action: "kill", Target: "v", RestartAfter: time.Hour}, aCatalog},
		{action.Spec{Action: "kill", Target: "v", RestartAfter: time.Hour}, part},
		{action.Spec{Action: "kill", Target: "v", Every: 200 * time.Millisecond}, aCatalog},
		{action.Spec{Action: "pause", Target: "v"}, aCatalog},
		{action.Spec{Action: "restart", Target: "v"}, aCatalog},
		{action.Spec{Action: "rolling-restart", Target: "v"}, aCatalog},
		{action.Spec{Action: "scale", Target: "v", Instances: 4}, aCatalog},
		{action.Spec{Action: "scale", Target: "v", Instances: 1}, aCatalog},
		{action.Spec{Action: "slow", Target: "v", Latency: time.Second}, aCatalog},
		{action.Spec{Action: "fail", Target: "v", Rate: 0.5}, aCatalog},
		{action.Spec{Action: "burn", Target: "v", Workers: 1}, aCatalog},
		{action.Spec{Action: "latency", Target: "v", Latency: time.Second}, aGateway},
		{action.Spec{Action: "loss", Target: "v"}, aGateway},
		{action.Spec{Action: "reset", Target: "v"}, aGateway},
		{action.Spec{Action: "partition", Target: "v"}, aGateway},
		{action.Spec{Action: "canary", Target: "v", Version: "v2", Rate: 0.5}, aCatalog},
	} {
		for _, until := range []string{"begins", "began"} {
			name := fmt.Sprintf("%d %s, killed when it %s", n, c.spec.Action, until)
			h.crash(order{h.name, h.dir, c.spec, c.target}, until)
			lab, err := action.Open(h.fleet, h.dir)
			if err == nil {
				_ = lab.Close()
			}
			if until == "began" && !errors.Is(err, action.ErrUnhealed) {
				h.t.Errorf("%s: %v, want ErrUnhealed", name, err)
			}
			began := time.Now()
			did, err := action.Heal(h.t.Context(), h.fleet, h.dir)
			if err != nil {
				h.t.Fatalf("%s: heal: %v", name, err)
			}
			h.t.Logf("%s: healed in %v: %q", name, time.Since(began).Round(time.Millisecond), did)
			if again, err := action.Heal(h.t.Context(), h.fleet, h.dir); err != nil || len(again) > 0 {
				h.t.Errorf("%s: healed again: %q %v", name, again, err)
			}
			h.well()
			if after := h.snapshot(); !reflect.DeepEqual(before, after) {
				h.t.Fatalf("%s:\nbefore %v\nafter  %v", name, before, after)
			}
		}
	}
}

// crash runs a tool until it says a word, then kills it with -9.
func (h *hurt) crash(o order, word string) {
	h.t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		h.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), toolEnv+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	said := ""
	buf := make([]byte, 4096)
	for !strings.Contains(said, word+"\n") {
		n, err := out.Read(buf)
		said += string(buf[:n])
		if err != nil {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !strings.Contains(said, word+"\n") {
		h.t.Fatalf("%s: the tool said %q", o.Spec.Action, said)
	}
}
