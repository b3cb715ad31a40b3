package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// Ports inside the containers, as Dockerfile and docker-compose.yml set them.
const (
	portRPC      = 7000
	portAdmin    = 7001
	portEdge     = 8080
	portConsul   = 8500
	portZipkin   = 9411
	portBroker   = 4222
	portProvider = 9090
)

// inspections bounds the questions asked of the engine at the same time.
const inspections = 32

// State lists the stack. URLs are those published on this machine; rpc, admin,
// broker and provider are addresses on the stack's own network. Restarts are
// the engine's own count: a start after docker kill is not among them.
func (f *Fleet) State(ctx context.Context) (runner.State, error) {
	members, err := f.containers(ctx)
	if err != nil {
		return runner.State{}, err
	}
	details := make([]detail, len(members))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inspections)
	for i, m := range members {
		g.Go(func() (err error) {
			details[i], err = f.inspect(ctx, m)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return runner.State{}, err
	}
	state := runner.State{Name: Project}
	for i, m := range members {
		addTo(&state, m, details[i])
	}
	return state, nil
}

// addTo puts one member where it belongs in the state.
func addTo(state *runner.State, m member, d detail) {
	if m.instance() {
		state.Instances = append(state.Instances, runner.Instance{
			Service: m.service, ID: m.name(), PID: d.pid, Container: containerName(m),
			RPC: d.at("", portRPC), Admin: d.at("http://", portAdmin),
			Version: d.env("KITMESH_VERSION", "v1"), Zone: d.env("KITMESH_ZONE", "local"),
			Restarts: d.restarts, RSSBytes: d.rss, Status: d.status, Extra: m.extra(),
		})
		return
	}
	part := runner.Part{
		Name: m.name(), PID: d.pid, Container: containerName(m),
		Restarts: d.restarts, RSSBytes: d.rss, Status: d.status,
	}
	switch m.service {
	case "edge":
		part.Admin = d.at("http://", portAdmin)
		state.Stack = d.env("KITMESH_STACK", "mesh")
		state.Gateway = published(m, portEdge)
	case "consul":
		state.Consul = published(m, portConsul)
	case "zipkin":
		state.Zipkin = published(m, portZipkin)
	case "nats":
		state.Broker = d.at("nats://", portBroker)
	case "provider":
		state.Provider = d.at("http://", portProvider)
	}
	state.Parts = append(state.Parts, part)
}

func containerName(m member) string {
	if len(m.Names) == 0 {
		return m.ID
	}
	return strings.TrimPrefix(m.Names[0], "/")
}

// published returns the URL of a port on this machine; empty when it has none.
func published(m member, port uint16) string {
	for _, p := range m.Ports {
		if p.PrivatePort == port && p.PublicPort != 0 {
			host := p.IP
			if !host.IsValid() || host.IsUnspecified() {
				host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
			return "http://" + netip.AddrPortFrom(host, p.PublicPort).String()
		}
	}
	return ""
}

// detail is what the list of containers does not tell.
type detail struct {
	pid, restarts int
	rss           int64
	status        string
	ip            netip.Addr
	environment   []string
}

func (f *Fleet) inspect(ctx context.Context, m member) (detail, error) {
	answer, err := f.engine.ContainerInspect(ctx, m.ID, client.ContainerInspectOptions{})
	if err != nil {
		return detail{}, fmt.Errorf("inspect %s: %w", m.name(), err)
	}
	c := answer.Container
	d := detail{restarts: c.RestartCount, status: "stopped"}
	if c.Config != nil {
		d.environment = c.Config.Env
	}
	if c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks {
			d.ip = n.IPAddress
		}
	}
	if c.State == nil {
		return d, nil
	}
	d.status, d.pid = status(c.State), c.State.Pid
	if c.State.Running {
		d.rss = f.memory(ctx, m.ID)
	}
	return d, nil
}

// status says what a container does in the words of runner.Instance.
func status(s *container.State) string {
	switch {
	case s.Paused:
		return "paused"
	case s.Restarting:
		return "restarting"
	case s.Running:
		return "running"
	}
	return "stopped"
}

// memory returns the bytes a container holds, its file cache aside; 0 when the
// engine does not say, which is no reason to show no state at all.
func (f *Fleet) memory(ctx context.Context, id string) int64 {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answer, err := f.engine.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return 0
	}
	memory := stats.MemoryStats
	cache, ok := memory.Stats["total_inactive_file"] // control groups v1
	if !ok {
		cache = memory.Stats["inactive_file"]
	}
	return int64(memory.Usage - min(cache, memory.Usage)) //nolint:gosec // no container holds 8 EiB
}

// at returns prefix + ip:port on the stack's network; empty when the container
// has no address there, as while it is stopped.
func (d detail) at(prefix string, port uint16) string {
	if !d.ip.IsValid() {
		return ""
	}
	return prefix + netip.AddrPortFrom(d.ip, port).String()
}

// env returns a variable the container was started with.
func (d detail) env(name, fallback string) string {
	for _, e := range d.environment {
		if value, ok := strings.CutPrefix(e, name+"="); ok && value != "" {
			return value
		}
	}
	return fallback
}

// adminURL is how a process inside a container reaches its own admin server.
func adminURL(path string) string {
	return "http://127.0.0.1:" + strconv.Itoa(portAdmin) + path
}
