package compose

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func stack() *engine {
	return &engine{containers: []fakeContainer{
		{service: "catalog", number: 2, state: "paused", project: Project},
		{service: "catalog", number: 1, state: "running", project: Project},
		{service: "gateway", number: 1, state: "exited", project: Project},
		{service: "edge", number: 1, state: "running", project: Project},
		{service: "nats", number: 1, state: "running", project: Project},
		{service: "catalog", number: 9, state: "running", project: Project, oneOff: true},
		{service: "catalog", number: 7, state: "running", project: "somebody-elses"},
	}}
}

func open(t *testing.T, e *engine) runner.Fleet {
	t.Helper()
	e.start(t)
	fleet, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}

func TestOpen(t *testing.T) {
	t.Run("no engine", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
		if _, err := Open(t.Context()); err == nil || !strings.Contains(err.Error(), "no Docker Engine answers at tcp://127.0.0.1:1") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("no stack", func(t *testing.T) {
		e := &engine{containers: []fakeContainer{{service: "catalog", number: 1, state: "running", project: "somebody-elses"}}}
		e.start(t)
		if _, err := Open(t.Context()); !errors.Is(err, ErrNoStack) {
			t.Errorf("err = %v, want ErrNoStack", err)
		}
	})
}

func TestState(t *testing.T) {
	state, err := open(t, stack()).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range state.Instances {
		got = append(got, i.Container+" "+i.Status)
		if !strings.HasPrefix(i.ID, i.Service+"-") || len(i.ID) != len(i.Service)+13 {
			t.Errorf("id %q is not SERVICE-HOSTNAME", i.ID)
		}
		if i.RPC != "172.20.0.7:7000" || i.Admin != "http://172.20.0.7:7001" || i.Version != "v2" || i.Zone != "local" || i.Restarts != 2 {
			t.Errorf("instance %+v", i)
		}
		if want := int64(2000); i.Status != "stopped" && i.RSSBytes != want {
			t.Errorf("%s holds %d bytes, want %d", i.ID, i.RSSBytes, want)
		}
	}
	want := []string{"kitmesh-gateway-1 stopped", "kitmesh-catalog-1 running", "kitmesh-catalog-2 paused"}
	if !slices.Equal(got, want) {
		t.Errorf("instances %q, want %q", got, want)
	}
	if state.Gateway != "http://127.0.0.1:18080" || state.Broker != "nats://172.20.0.7:4222" || state.Consul != "" {
		t.Errorf("state %+v", state)
	}
	if len(state.Parts) != 2 || state.Parts[0].Name != "edge" || state.Parts[0].Admin != "http://172.20.0.7:7001" || state.Parts[1].Name != "broker" {
		t.Errorf("parts %+v", state.Parts)
	}
}

func TestSignal(t *testing.T) {
	tests := []struct {
		name   string
		signal syscall.Signal
		want   string // asked of the engine
	}{
		{"catalog-1", syscall.SIGKILL, "kill catalog-1 signal=9"},
		{"kitmesh-catalog-1", syscall.SIGTERM, "kill catalog-1 signal=15"},
		{fakeContainer{service: "catalog", number: 1}.hostID(), syscall.SIGSTOP, "pause catalog-1"},
		{"catalog-1", syscall.SIGCONT, ""},
		{"catalog-2", syscall.SIGSTOP, ""},
		{"catalog-2", syscall.SIGCONT, "unpause catalog-2"},
		{"broker", syscall.SIGKILL, "kill nats-1 signal=9"},
		{"nats", syscall.SIGKILL, "kill nats-1 signal=9"},
	}
	for _, test := range tests {
		t.Run(test.name+" "+test.signal.String(), func(t *testing.T) {
			e := stack()
			if err := open(t, e).Signal(t.Context(), test.name, test.signal); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(e.asked, ", "); got != test.want {
				t.Errorf("asked %q, want %q", got, test.want)
			}
		})
	}
}

// hostID is the instance's id: its service and its container's host name.
func (c fakeContainer) hostID() string { return c.service + "-" + c.id()[:12] }

func TestUnknownName(t *testing.T) {
	e := stack()
	fleet := open(t, e)
	for _, name := range []string{"catalog-3", "catalog-7", "catalog-9", "catalog", "nothing"} {
		err := fleet.Signal(t.Context(), name, syscall.SIGKILL)
		if err == nil || !strings.Contains(err.Error(), `no "`+name+`"`) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if len(e.asked) > 0 {
		t.Errorf("asked %q", e.asked)
	}
}

func TestScale(t *testing.T) {
	tests := []struct {
		service string
		n       int
		want    string
	}{
		{"catalog", 2, ""},
		{"catalog", 3, "create kitmesh-catalog-3, start new"},
		{"catalog", 1, "stop catalog-2, remove catalog-2"},
		{"catalog", 0, "stop catalog-2, remove catalog-2, stop catalog-1"},
		{"gateway", 1, "start gateway-1"},
		{"gateway", 2, "start gateway-1, create kitmesh-gateway-2, start new"},
	}
	for _, test := range tests {
		t.Run(test.service, func(t *testing.T) {
			e := stack()
			if err := open(t, e).Scale(t.Context(), test.service, test.n); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(e.asked, ", "); got != test.want {
				t.Errorf("asked %q, want %q", got, test.want)
			}
			if e.created == nil {
				return
			}
			// The copy is compose's, but with a host name and a number of its own.
			labels, _ := e.created["Labels"].(map[string]any)
			if e.created["Hostname"] != nil && e.created["Hostname"] != "" || labels[labelProject] != Project || labels[labelNumber] == "1" {
				t.Errorf("created %v", e.created)
			}
		})
	}
	for _, wrong := range []struct {
		service string
		n       int
	}{{"edge", 2}, {"catalog", -1}, {"catalog", 51}, {"pricing", 2}} {
		if err := open(t, stack()).Scale(t.Context(), wrong.service, wrong.n); err == nil {
			t.Errorf("scale %s to %d: no error", wrong.service, wrong.n)
		}
	}
}

func TestFaultsOfAPart(t *testing.T) {
	if err := open(t, stack()).Faults(t.Context(), "broker", runner.Faults{}); err == nil {
		t.Error("no error")
	}
}
