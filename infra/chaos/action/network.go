package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kitmesh/kitmesh/infra/proxy"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// The network actions work on the lines of the proxy that kitmesh up --proxies
// puts between everybody. Containers can be cut off as a whole only.

var latencyKind = kind{
	name: "latency", on: onBoth,
	needs: []string{"target", "latency"}, takes: []string{"jitter", "peers", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		return r.infect(ctx, v, fmt.Sprintf("%s later", r.spec.Latency), proxy.Toxic{
			Type: "latency",
			Attributes: map[string]int{
				"latency": int(r.spec.Latency.Milliseconds()), "jitter": int(r.spec.Jitter.Milliseconds()),
			},
		})
	},
}

// lossKind lets requests through and swallows what comes back.
var lossKind = kind{
	name: "loss", on: onBoth,
	needs: []string{"target"}, takes: []string{"rate", "peers", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		return r.infect(ctx, v, "replies are lost", proxy.Toxic{Type: "timeout", Toxicity: r.toxicity()})
	},
}

var resetKind = kind{
	name: "reset", on: onBoth,
	needs: []string{"target"}, takes: []string{"rate", "peers", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		return r.infect(ctx, v, "connections are reset", proxy.Toxic{Type: "reset_peer", Toxicity: r.toxicity()})
	},
}

// partitionKind lets nothing through, in either direction; connections stay.
var partitionKind = kind{
	name: "partition", on: onBoth, takesDown: true,
	needs: []string{"target"}, takes: []string{"peers", "every", "for"},
	once: func(ctx context.Context, r *Running, v victim) error {
		if cutter, ok := r.lab.fleet.(runner.Cutter); ok {
			return r.cut(ctx, cutter, v)
		}
		return r.infect(ctx, v, "cut off",
			proxy.Toxic{Type: "timeout", Stream: proxy.Downstream}, proxy.Toxic{Type: "timeout", Stream: proxy.Upstream})
	},
}

const (
	undoToxic   = "toxic"
	undoConnect = "connect"
)

// toxicOn is a toxic on a line.
type toxicOn struct {
	Line  string `json:"line"`
	Toxic string `json:"toxic"`
}

// toxicity is the share of the connections; nil is all.
func (r *Running) toxicity() *float64 {
	if r.spec.Rate == 0 {
		return nil
	}
	return &r.spec.Rate
}

// infections counts the toxics of this process, for their names.
var infections atomic.Int64

// infect puts toxics on the lines between a victim and its peers.
func (r *Running) infect(ctx context.Context, v victim, text string, toxics ...proxy.Toxic) error {
	state, err := r.lab.fleet.State(ctx)
	if err != nil {
		return err
	}
	if _, cannot := r.lab.fleet.(runner.Cutter); cannot {
		return errors.New("containers have no proxies between them: of the network actions only partition works there")
	}
	if state.Proxy == "" {
		return errors.New("this mesh has no proxies in its lines: start it with kitmesh up --proxies")
	}
	client := proxy.Client{URL: state.Proxy}
	known, err := client.Lines(ctx)
	if err != nil {
		return err
	}
	cuts := between(state, v, r.spec.Peers)
	maps.DeleteFunc(cuts, func(line string, _ []string) bool { _, ok := known[line]; return !ok })
	if len(cuts) == 0 {
		return fmt.Errorf("there is no line between %s and %s", v.name, strings.Join(r.spec.Peers, ", "))
	}
	u := undo{Kind: undoToxic, Name: v.name}
	type infection struct {
		line  string
		toxic proxy.Toxic
	}
	var plan []infection
	for _, line := range slices.Sorted(maps.Keys(cuts)) {
		for _, t := range toxics {
			t.Name = fmt.Sprintf("chaos-%d-%d", os.Getpid(), infections.Add(1))
			t.From = cuts[line]
			plan = append(plan, infection{line, t})
			u.Lines = append(u.Lines, toxicOn{line, t.Name})
		}
	}
	err = r.change(u, func() error {
		for _, i := range plan {
			if err := client.Add(ctx, i.line, i.toxic); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.say(v.name, fmt.Sprintf("%s, on %d lines", text, len(cuts)), nil)
	}
	return err
}

// between names the lines between a victim and its peers, all if there are none
// named, each with the callers it concerns; no callers are all.
func between(state runner.State, v victim, peers []string) map[string][]string {
	if v.instance == nil {
		return ofPart(state, v.name, peers)
	}
	id, own := v.instance.ID, sourcesOf(*v.instance)
	cuts := map[string][]string{}
	for _, part := range []string{"consul", "broker", "zipkin", "provider"} {
		if len(peers) == 0 || slices.Contains(peers, part) {
			cuts[id+"."+part] = nil
		}
	}
	var callers []string
	all := len(peers) == 0
	for _, i := range state.Instances {
		if i.ID == id || len(peers) > 0 && !slices.Contains(peers, i.Service) {
			continue
		}
		cuts[i.ID+".rpc"] = own // what it calls
		callers = append(callers, sourcesOf(i)...)
		all = all || i.Source == ""
	}
	if slices.Contains(peers, "edge") {
		callers = append(callers, edgeSource)
	}
	switch { // what calls it
	case all:
		cuts[id+".rpc"] = nil
	case len(callers) > 0:
		cuts[id+".rpc"] = callers
	}
	return cuts
}

// ofPart names the lines that lead to a part, from some services or from all.
func ofPart(state runner.State, part string, peers []string) map[string][]string {
	cuts := map[string][]string{}
	for _, i := range state.Instances {
		switch {
		case len(peers) > 0 && !slices.Contains(peers, i.Service):
		case part == "edge" && i.Service == "gateway":
			cuts[i.ID+".rpc"] = []string{edgeSource}
		default:
			cuts[i.ID+"."+part] = nil
		}
	}
	if len(peers) == 0 || slices.Contains(peers, "edge") {
		cuts["edge."+part] = nil
	}
	if part != "edge" {
		return cuts
	}
	for _, to := range []string{"consul", "zipkin"} { // what the edge itself talks to
		if len(peers) == 0 || slices.Contains(peers, to) {
			cuts["edge."+to] = nil
		}
	}
	return cuts
}

// edgeSource is where the edge calls from, as everything without an address of
// its own does.
const edgeSource = "127.0.0.1"

// sourcesOf is where an instance calls from; empty where it cannot be told from
// the others.
func sourcesOf(i runner.Instance) []string {
	if i.Source == "" {
		return nil
	}
	return []string{i.Source}
}

// disinfect removes toxics, those that are still there.
func disinfect(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	removed := 0
	err := await(ctx, "still has toxics", func() (bool, error) {
		state, err := fleet.State(ctx)
		if err != nil || state.Proxy == "" {
			return err == nil, err
		}
		client := proxy.Client{URL: state.Proxy}
		lines, err := client.Lines(ctx)
		if err != nil {
			return false, err // the proxy is being restarted, without toxics
		}
		left := 0
		for _, on := range u.Lines {
			if !slices.ContainsFunc(lines[on.Line].Toxics, func(t *proxy.Toxic) bool { return t.Name == on.Toxic }) {
				continue
			}
			left++
			if err := client.Remove(ctx, on.Line, on.Toxic); err != nil && !errors.Is(err, proxy.ErrNotFound) {
				return false, err
			}
		}
		removed += left
		return left == 0, nil
	})
	if removed == 0 {
		return "", err
	}
	return fmt.Sprintf("the network of %s is well again (%d toxics removed)", u.Name, removed), err
}

// cut takes a container off its networks.
func (r *Running) cut(ctx context.Context, cutter runner.Cutter, v victim) error {
	if len(r.spec.Peers) > 0 {
		return errors.New("peers: a container can be cut off from everybody only; locally, with kitmesh up --proxies, also from some")
	}
	links, err := cutter.Links(ctx, v.name)
	if err != nil {
		return err
	}
	if len(links) == 0 || string(links) == "{}" {
		return fmt.Errorf("%s is on no network", v.name)
	}
	err = r.change(undo{Kind: undoConnect, Name: v.name, Links: links}, func() error { return cutter.Cut(ctx, v.name) })
	if err == nil {
		r.say(v.name, "cut off", nil)
	}
	return err
}

// connect puts a container back on its networks.
func connect(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	cutter, ok := fleet.(runner.Cutter)
	if !ok {
		return "", errors.New("this mesh has no networks to connect to")
	}
	if status, err := statusOf(ctx, fleet, u.Name); err != nil || status == "" {
		return "", err
	}
	done, err := cutter.Join(ctx, u.Name, u.Links)
	if err != nil || !done {
		return "", err
	}
	var was, now map[string]json.RawMessage
	links, err := cutter.Links(ctx, u.Name)
	if err := errors.Join(err, json.Unmarshal(u.Links, &was), json.Unmarshal(links, &now)); err != nil {
		return "", err
	}
	for network := range was {
		if _, ok := now[network]; !ok {
			return "", fmt.Errorf("it is still not on %s", network)
		}
	}
	return u.Name + " is on its network again", nil
}
