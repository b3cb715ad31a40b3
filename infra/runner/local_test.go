package runner

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLocalSteersTheSupervisor(t *testing.T) {
	s := testSupervisor(t)
	closeAPI, err := s.serveControl()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAPI)
	s.makeInstance = func(service string, n int) (spec, error) {
		sp := standIn(instanceID(service, n), "serve")
		sp.service = service
		return sp, nil
	}
	local := &Local{dirs: s.dirs}
	if err := local.Scale(t.Context(), "catalog", 1); err != nil {
		t.Fatal(err)
	}
	p := runningPID(t, s, "catalog-1")
	if err := local.Restart(t.Context(), "catalog-1"); err != nil {
		t.Fatal(err)
	}
	next := runningPID(t, s, "catalog-1")
	if next.pid == p.pid {
		t.Error("Restart left the process running")
	}
	if err := local.Hold(t.Context(), "catalog-1", syscall.SIGKILL, time.Hour); err != nil {
		t.Fatal(err)
	}
	if next.alive() {
		t.Error("Hold left the process running")
	}
	if err := local.Signal(t.Context(), "catalog-1", syscall.SIGTERM); err == nil {
		t.Error("a signal reached a process that is held down")
	}
	for name, err := range map[string]error{
		"restart": local.Restart(t.Context(), "nobody"),
		"signal":  local.Signal(t.Context(), "nobody", syscall.SIGTERM),
	} {
		if err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("%s of an unknown name: %v", name, err)
		}
	}
}

func TestControlWantsATokenAndPost(t *testing.T) {
	s := testSupervisor(t)
	for _, c := range []struct {
		name, method, token, body string
		want                      int
	}{
		{"no token", http.MethodPost, "", "{}", http.StatusUnauthorized},
		{"wrong token", http.MethodPost, "x" + s.token, "{}", http.StatusUnauthorized},
		{"read", http.MethodGet, s.token, "", http.StatusMethodNotAllowed},
		{"no order", http.MethodPost, s.token, "[", http.StatusBadRequest},
		{"huge", http.MethodPost, s.token, `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, http.StatusBadRequest},
		{"status", http.MethodPost, s.token, "{}", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(c.method, "/status", strings.NewReader(c.body))
			req.Header.Set("Authorization", "Bearer "+c.token)
			got := httptest.NewRecorder()
			s.controlHandler().ServeHTTP(got, req)
			if got.Code != c.want {
				t.Errorf("answer %d %s, want %d", got.Code, got.Body, c.want)
			}
			if strings.Contains(got.Body.String(), s.token) {
				t.Error("the answer gives the token away")
			}
		})
	}
	s.persist()
	if info, err := os.Stat(s.dirs.state()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state.json: %v, %v; its token is the owner's alone", info.Mode(), err)
	}
}

func TestFaultsReachTheInstance(t *testing.T) {
	var got string
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.Path + " " + string(body)
		if strings.Contains(got, "9") {
			http.Error(w, "no such latency", http.StatusBadRequest)
		}
	}))
	defer admin.Close()
	d := testDirs(t)
	r := record{State: State{Instances: []Instance{{Service: "pricing", ID: "pricing-1", Admin: admin.URL}}}}
	if err := r.save(d); err != nil {
		t.Fatal(err)
	}
	local := &Local{dirs: d}
	for want, f := range map[string]Faults{
		`POST /faults {"latency":"200ms"}`: {Latency: "200ms"},
		`POST /faults {"error_rate":0.5}`:  {ErrorRate: 0.5},
		`DELETE /faults {}`:                {},
	} {
		if err := local.Faults(t.Context(), "pricing-1", f); err != nil || got != want {
			t.Errorf("sent %q (%v), want %q", got, err, want)
		}
	}
	if err := local.Faults(t.Context(), "pricing-1", Faults{Latency: "9s"}); err == nil || !strings.Contains(err.Error(), "no such latency") {
		t.Errorf("refused faults: %v", err)
	}
	if err := local.Faults(t.Context(), "consul", Faults{}); err == nil {
		t.Error("a part got faults")
	}
}

func TestOpenWithoutAMesh(t *testing.T) {
	t.Setenv("KITMESH_HOME", t.TempDir())
	if _, err := Open("default"); err == nil || !strings.Contains(err.Error(), "kitmesh up") {
		t.Errorf("error %v does not say what to do", err)
	}
	if was, err := Down(t.Context(), "default", false); was || err != nil {
		t.Errorf("Down of nothing: %v, %v", was, err)
	}
}

func TestHealthIsTheWorstCheck(t *testing.T) {
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"ServiceID":"","Status":"passing"},{"ServiceID":"a","Status":"critical"},
			{"ServiceID":"a","Status":"passing"},{"ServiceID":"b","Status":"passing"},{"ServiceID":"b","Status":"warning"}]`)
	}))
	health, err := Health(t.Context(), consul.URL)
	consul.Close()
	if err != nil || len(health) != 2 || health["a"] != "critical" || health["b"] != "warning" {
		t.Errorf("health %v, %v", health, err)
	}
	if _, err := Health(t.Context(), consul.URL); err == nil {
		t.Error("no error from a dead Consul")
	}
}
