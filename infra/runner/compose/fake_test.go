package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// engine is a Docker Engine as far as the Fleet knows one: containers and what
// was asked of them.
type engine struct {
	mu         sync.Mutex
	containers []fakeContainer
	asked      []string       // "POST kill catalog-1 signal=9"
	created    map[string]any // the body of the last create
	policy     string         // RestartPolicy of every container, as JSON
	off        bool           // catalog-1 is off its network
	ownSubnet  bool           // the network gives the addresses that are asked for
	ip         string         // of catalog-1; 172.20.0.7 if empty
}

type fakeContainer struct {
	service string
	number  int
	state   string
	project string
	oneOff  bool
}

func (c fakeContainer) id() string {
	return fmt.Sprintf("%x", c.service+fmt.Sprint(c.number)) + strings.Repeat("0", 40)
}

var (
	apiVersion = regexp.MustCompile(`^/v[0-9.]+`)
	onePath    = regexp.MustCompile(`^/containers/([^/]+)(?:/([a-z]+))?$`)
)

// start serves the engine and points DOCKER_HOST at it.
func (e *engine) start(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "tcp://"+server.Listener.Addr().String())
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	path := apiVersion.ReplaceAllString(r.URL.Path, "")
	switch {
	case path == "/_ping":
		fmt.Fprint(w, "OK")
	case path == "/containers/json":
		e.list(w, r)
	case path == "/containers/create":
		_ = json.NewDecoder(r.Body).Decode(&e.created)
		e.asked = append(e.asked, "create "+r.URL.Query().Get("name"))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"Id":"new"}`)
	case strings.HasPrefix(path, "/networks/"):
		e.network(w, r, path)
	default:
		e.one(w, r, onePath.FindStringSubmatch(path))
	}
}

func (e *engine) network(w http.ResponseWriter, r *http.Request, path string) {
	var body struct {
		Container      string
		EndpointConfig struct {
			Aliases    []string
			IPAMConfig struct{ IPv4Address string }
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	asked := body.EndpointConfig.IPAMConfig.IPv4Address
	e.asked = append(e.asked, strings.TrimSpace(strings.TrimPrefix(path, "/networks/")+" "+strings.Join(body.EndpointConfig.Aliases, ",")+" "+asked))
	if asked != "" && !e.ownSubnet {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"message":"user specified IP address is supported only when connecting to networks with user configured subnets"}`)
		return
	}
	e.off = strings.HasSuffix(path, "/disconnect")
	if !e.off && asked == "" {
		e.ip = "172.20.0.99"
	}
	fmt.Fprint(w, `{}`)
}

func (e *engine) list(w http.ResponseWriter, r *http.Request) {
	// The real engine filters; so does this one, by the only filter we use.
	filters := r.URL.Query().Get("filters")
	var answer []map[string]any
	for _, c := range e.containers {
		if !strings.Contains(filters, "com.docker.compose.project="+c.project) {
			continue
		}
		labels := map[string]string{
			labelProject: c.project, labelService: c.service, labelNumber: fmt.Sprint(c.number), labelOneOff: "False",
		}
		if c.oneOff {
			labels[labelOneOff] = "True"
		}
		item := map[string]any{
			"Id": c.id(), "Names": []string{fmt.Sprintf("/kitmesh-%s-%d", c.service, c.number)},
			"State": c.state, "Labels": labels,
		}
		if c.service == "edge" {
			item["Ports"] = []any{map[string]any{"IP": "127.0.0.1", "PrivatePort": 8080, "PublicPort": 18080, "Type": "tcp"}}
		}
		answer = append(answer, item)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (e *engine) one(w http.ResponseWriter, r *http.Request, match []string) {
	if match == nil {
		http.Error(w, `{"message":"no such path"}`, http.StatusNotFound)
		return
	}
	name := match[1]
	if name != "new" && !slices.ContainsFunc(e.containers, func(c fakeContainer) bool { return c.id() == name }) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"No such container"}`)
		return
	}
	for _, c := range e.containers {
		if c.id() != name {
			continue
		}
		name = fmt.Sprintf("%s-%d", c.service, c.number)
		if match[2] == "json" {
			e.inspect(w, c)
			return
		}
		if match[2] == "wait" {
			fmt.Fprint(w, `{"StatusCode":137}`)
			return
		}
		if match[2] == "stats" {
			fmt.Fprint(w, `{"memory_stats":{"usage":3000,"stats":{"inactive_file":1000}}}`)
			return
		}
	}
	call := strings.TrimSpace(strings.ToLower(match[2]) + " " + name)
	if r.Method == http.MethodDelete {
		call = "remove " + name
	}
	if signal := r.URL.Query().Get("signal"); signal != "" {
		call += " signal=" + signal
	}
	if match[2] == "update" {
		var body struct{ RestartPolicy json.RawMessage }
		_ = json.NewDecoder(r.Body).Decode(&body)
		e.policy = string(body.RestartPolicy)
		call += " " + e.policy
		fmt.Fprint(w, `{}`)
	}
	e.asked = append(e.asked, call)
	if match[2] == "update" {
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (e *engine) inspect(w http.ResponseWriter, c fakeContainer) {
	running := c.state == "running" || c.state == "paused"
	networks := map[string]any{"kitmesh_default": map[string]any{"IPAddress": cmp.Or(e.ip, "172.20.0.7"), "Aliases": []string{c.service}}}
	if e.off {
		networks = map[string]any{}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"Id": c.id(), "RestartCount": 2,
		"State": map[string]any{"Status": c.state, "Running": running, "Paused": c.state == "paused", "Pid": 42},
		"Config": map[string]any{
			"Image": "kitmesh/kitmesh:local", "Hostname": c.id()[:12], "Env": []string{"KITMESH_VERSION=v2", "KITMESH_ZONE="},
			"Labels": map[string]string{labelProject: c.project, labelService: c.service, labelNumber: fmt.Sprint(c.number)},
		},
		"HostConfig":      map[string]any{"ReadonlyRootfs": true, "RestartPolicy": json.RawMessage(cmp.Or(e.policy, `{}`))},
		"NetworkSettings": map[string]any{"Networks": networks},
	})
}
