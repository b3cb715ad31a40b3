package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/proxy"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// Roles that the test program plays instead of running tests.
const roleEnv = "KITMESH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "burn":
		<-UntilClosed(os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

// hirer adds canaries to the fake.
type hirer struct{ *fakeFleet }

func (h hirer) Hire(_ context.Context, hire runner.Hire) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Instances = append(h.state.Instances, runner.Instance{
		Service: hire.Service, ID: hire.Name, PID: 900, Status: "running", Version: hire.Version, Extra: true,
	})
	return hire.Name, h.note("hire %s", hire.Name)
}

func (h hirer) Dismiss(_ context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Instances = slices.DeleteFunc(h.state.Instances, func(i runner.Instance) bool { return i.ID == name })
	return h.note("dismiss %s", name)
}

// cutter is a fake of containers.
type cutter struct {
	*fakeFleet
	off map[string]bool
}

func (c cutter) Links(_ context.Context, name string) (json.RawMessage, error) {
	if c.off[name] {
		return json.RawMessage(`{}`), nil
	}
	return json.RawMessage(`{"net":{"aliases":["catalog"]}}`), nil
}

func (c cutter) Cut(_ context.Context, name string) error {
	c.off[name] = true
	return nil
}

func (c cutter) Join(_ context.Context, name string, links json.RawMessage) (bool, error) {
	was := c.off[name]
	delete(c.off, name)
	if !strings.Contains(string(links), "catalog") {
		return was, fmt.Errorf("aliases are lost: %s", links)
	}
	return was, nil
}

// withProxies gives the fake a real proxy with a line for each that a mesh has.
func withProxies(t *testing.T, f *fakeFleet) proxy.Client {
	t.Helper()
	p := proxy.New()
	api := httptest.NewServer(p.Handler())
	t.Cleanup(func() {
		api.Close()
		p.Close()
	})
	var lines []proxy.Config
	for n, i := range f.state.Instances {
		f.state.Instances[n].Source = fmt.Sprintf("127.77.0.%d", n+1)
		for _, to := range []string{"rpc", "consul", "broker", "zipkin"} {
			lines = append(lines, proxy.Config{Name: i.ID + "." + to, Upstream: "127.0.0.1:1"})
		}
	}
	f.state.Proxy = api.URL
	client := proxy.Client{URL: api.URL}
	if err := client.Populate(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	return client
}

// snapshot is everything an experiment may change, process ids aside.
func snapshot(t *testing.T, fleet runner.Fleet) map[string]any {
	t.Helper()
	state, err := fleet.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, i := range state.Instances {
		faults, _ := fleet.(runner.FaultReader).FaultsOf(t.Context(), i.ID)
		all[i.ID] = []any{i.Status, i.Version, faults}
	}
	for _, p := range state.Parts {
		all[p.Name] = p.Status
	}
	if state.Proxy != "" {
		lines, err := (proxy.Client{URL: state.Proxy}).Lines(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, l := range lines {
			all[name] = len(l.Toxics)
		}
	}
	if c, ok := fleet.(cutter); ok {
		all["off"] = maps.Clone(c.off)
	}
	return all
}

// crashes are an example of each action; every action must have one.
var crashes = []struct {
	spec   Spec
	target Target
}{
	{Spec{Action: "kill", Target: "v", RestartAfter: time.Hour}, aCatalog},
	{Spec{Action: "kill", Target: "v"}, aCatalog},
	{Spec{Action: "pause", Target: "v"}, aCatalog},
	{Spec{Action: "pause", Target: "v"}, Target{Part: "consul"}},
	{Spec{Action: "restart", Target: "v"}, aCatalog},
	{Spec{Action: "rolling-restart", Target: "v"}, aCatalog},
	{Spec{Action: "scale", Target: "v", Instances: 5}, aCatalog},
	{Spec{Action: "scale", Target: "v", Instances: 1}, aCatalog},
	{Spec{Action: "slow", Target: "v", Latency: time.Second}, aCatalog},
	{Spec{Action: "fail", Target: "v", Rate: 0.5}, aCatalog},
	{Spec{Action: "burn", Target: "v", Workers: 1}, aCatalog},
	{Spec{Action: "latency", Target: "v", Latency: time.Second}, aCatalog},
	{Spec{Action: "latency", Target: "v", Latency: time.Second}, Target{Part: "consul"}},
	{Spec{Action: "loss", Target: "v", Rate: 0.5}, aCatalog},
	{Spec{Action: "reset", Target: "v"}, aCatalog},
	{Spec{Action: "partition", Target: "v"}, aCatalog},
	{Spec{Action: "partition", Target: "v", Peers: []string{"consul"}}, aCatalog},
	{Spec{Action: "canary", Target: "v", Version: "v2", Rate: 0.5}, aCatalog},
}

func TestEveryActionIsHealedAfterACrash(t *testing.T) {
	var covered []string
	for _, c := range crashes {
		covered = append(covered, c.spec.Action)
		t.Run(fmt.Sprintf("%s of %s", c.spec.Action, c.target.name()), func(t *testing.T) {
			f := newFake()
			withProxies(t, f)
			fleet := hirer{f}
			before := snapshot(t, fleet)
			l, dir := openLab(t, fleet)
			begin(t, l, c.spec, c.target)
			during := snapshot(t, fleet)
			abandon(l)
			if reflect.DeepEqual(before, during) && !strings.HasSuffix(c.spec.Action, "restart") {
				t.Errorf("it had no effect: %v", during)
			}
			for n := range 2 {
				did, err := Heal(t.Context(), fleet, dir)
				if err != nil || n == 1 && len(did) > 0 {
					t.Fatalf("heal %d: %q %v", n+1, did, err)
				}
			}
			if after := snapshot(t, fleet); !reflect.DeepEqual(before, after) {
				t.Errorf("before %v\nafter  %v", before, after)
			}
		})
	}
	for _, name := range Names() {
		if !slices.Contains(covered, name) {
			t.Errorf("%s has no example", name)
		}
	}
}

// The tool dies between the log and the change: heal finds nothing to do.
func TestCrashBeforeTheChange(t *testing.T) {
	for _, c := range crashes {
		f := newFake()
		withProxies(t, f)
		fleet := hirer{f}
		before := snapshot(t, fleet)
		l, dir := openLab(t, fleet)
		never := errors.New("it died here")
		kind := kinds[c.spec.Action]
		if kind.once == nil {
			continue
		}
		v := victim{name: c.target.name()}
		if in, ok := instance(f.state, "catalog-1"); ok && c.target.Service != "" && !kind.wide {
			v = victim{"catalog-1", &in}
		}
		r := &Running{lab: l, spec: c.spec, target: c.target, note: func(Note) {}, life: t.Context(), cancel: func() {}, died: never}
		if err := kind.once(t.Context(), r, v); !errors.Is(err, never) {
			t.Errorf("%s: %v: it did something before it was in the log", c.spec.Action, err)
		}
		if len(l.log.pending()) == 0 {
			t.Errorf("%s: nothing is in the log", c.spec.Action)
		}
		abandon(l)
		if did, err := Heal(t.Context(), fleet, dir); err != nil || len(did) > 0 {
			t.Errorf("%s: %q %v, want nothing to do", c.spec.Action, did, err)
		}
		if after := snapshot(t, fleet); !reflect.DeepEqual(before, after) {
			t.Errorf("%s: before %v\nafter  %v", c.spec.Action, before, after)
		}
	}
}

func TestPartitionOfContainers(t *testing.T) {
	c := cutter{newFake(), map[string]bool{}}
	before := snapshot(t, c)
	l, dir := openLab(t, c)
	begin(t, l, Spec{Action: "partition", Target: "v"}, aCatalog)
	if len(c.off) != 1 {
		t.Fatalf("%v is off the network", c.off)
	}
	if _, err := l.Start(t.Context(), Spec{Action: "partition", Target: "v", Peers: []string{"consul"}}, aCatalog, 1, nil); err == nil {
		t.Error("a container was cut off from one peer")
	}
	if _, err := l.Start(t.Context(), Spec{Action: "loss", Target: "v"}, aCatalog, 1, nil); err == nil || !strings.Contains(err.Error(), "only partition") {
		t.Errorf("%v", err)
	}
	abandon(l)
	if did, err := Heal(t.Context(), c, dir); err != nil || len(did) != 1 {
		t.Fatalf("%q %v", did, err)
	}
	if after := snapshot(t, c); !reflect.DeepEqual(before, after) {
		t.Errorf("before %v\nafter  %v", before, after)
	}
}

func TestNoProxiesNoNetworkActions(t *testing.T) {
	l, _ := openLab(t, newFake())
	_, err := l.Start(t.Context(), Spec{Action: "reset", Target: "v"}, aCatalog, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "kitmesh up --proxies") {
		t.Fatalf("%v, want the flag named", err)
	}
}

func TestLinesBetween(t *testing.T) {
	state := runner.State{Instances: []runner.Instance{
		{Service: "catalog", ID: "catalog-1", Source: "127.77.0.1"},
		{Service: "gateway", ID: "gateway-1", Source: "127.77.0.2"},
		{Service: "orders", ID: "orders-1", Source: "127.77.0.3"},
	}}
	stock := runner.State{Instances: []runner.Instance{{Service: "catalog", ID: "catalog-1"}, {Service: "gateway", ID: "gateway-1"}}}
	for _, c := range []struct {
		state runner.State
		peers []string
		want  map[string][]string
	}{
		{state, []string{"consul"}, map[string][]string{"catalog-1.consul": nil}},
		{state, []string{"gateway"}, map[string][]string{"catalog-1.rpc": {"127.77.0.2"}, "gateway-1.rpc": {"127.77.0.1"}}},
		{state, []string{"edge"}, map[string][]string{"catalog-1.rpc": {"127.0.0.1"}}},
		{stock, []string{"gateway"}, map[string][]string{"catalog-1.rpc": nil, "gateway-1.rpc": nil}},
		{state, nil, map[string][]string{
			"catalog-1.consul": nil, "catalog-1.broker": nil, "catalog-1.zipkin": nil, "catalog-1.provider": nil,
			"catalog-1.rpc": nil, "gateway-1.rpc": {"127.77.0.1"}, "orders-1.rpc": {"127.77.0.1"},
		}},
	} {
		if got := between(c.state, victim{"catalog-1", &c.state.Instances[0]}, c.peers); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, want %v", c.peers, got, c.want)
		}
	}
	want := map[string][]string{"gateway-1.consul": nil}
	if got := between(state, victim{name: "consul"}, []string{"gateway"}); !reflect.DeepEqual(got, want) {
		t.Errorf("consul: %v, want %v", got, want)
	}
}

func TestRollingRestartIsOneAfterAnother(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	r := begin(t, l, Spec{Action: "rolling-restart", Target: "v"}, Target{Service: "catalog", MinHealthy: 2})
	select {
	case <-r.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	want := []string{"restart catalog-1", "restart catalog-2", "restart catalog-3"}
	if !slices.Equal(f.did, want) {
		t.Errorf("%q, want %q", f.did, want)
	}
	if _, err := l.Start(t.Context(), Spec{Action: "rolling-restart", Target: "v"}, Target{Service: "catalog", MinHealthy: 3}, 1, nil); err == nil {
		t.Error("min-healthy was broken")
	}
	if _, err := l.Start(t.Context(), Spec{Action: "scale", Target: "v", Instances: 1}, Target{Service: "catalog", MinHealthy: 2}, 1, nil); err == nil {
		t.Error("min-healthy was broken by scale")
	}
}

// The machine burns as long as the experiment, and no longer than its process.
func TestMachineBurns(t *testing.T) {
	var child *exec.Cmd
	burner = func(int) (*exec.Cmd, error) {
		child = exec.Command(os.Args[0])
		child.Env = append(os.Environ(), roleEnv+"=burn")
		child.Stdout, child.Stderr = io.Discard, io.Discard
		return child, nil
	}
	l, _ := openLab(t, newFake())
	r := begin(t, l, Spec{Action: "burn", Workers: 1}, Target{})
	if child.Process == nil || child.ProcessState != nil {
		t.Fatal("nothing burns")
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child.ProcessState == nil || !child.ProcessState.Success() {
		t.Fatalf("it still burns: %v", child.ProcessState)
	}
}

// A log whose last line was cut off is read to the line before.
func TestTornLog(t *testing.T) {
	f := newFake()
	l, dir := openLab(t, f)
	begin(t, l, Spec{Action: "pause", Target: "v"}, aCatalog)
	if _, err := l.log.file.WriteString(`{"seq":2,"undo":{"ki`); err != nil {
		t.Fatal(err)
	}
	abandon(l)
	if did, err := Heal(t.Context(), f, dir); err != nil || len(did) != 1 {
		t.Fatalf("%q %v", did, err)
	}
	if err := os.WriteFile(logPath(dir), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Heal(t.Context(), f, dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("%v", err)
	}
}
