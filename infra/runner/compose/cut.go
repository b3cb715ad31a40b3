package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

var _ runner.Cutter = (*Fleet)(nil)

// link is how a container is on a network.
type link struct {
	Aliases []string `json:"aliases"`
	IP      string   `json:"ip"`
}

// Links tells the networks of a container.
func (f *Fleet) Links(ctx context.Context, name string) (json.RawMessage, error) {
	m, err := f.find(ctx, name)
	if err != nil {
		return nil, err
	}
	links, err := f.links(ctx, m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(links)
}

func (f *Fleet) links(ctx context.Context, m member) (map[string]link, error) {
	answer, err := f.engine.ContainerInspect(ctx, m.ID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", m.name(), err)
	}
	links := map[string]link{}
	if answer.Container.NetworkSettings == nil {
		return links, nil
	}
	for name, e := range answer.Container.NetworkSettings.Networks {
		if e == nil {
			continue
		}
		l := link{Aliases: e.Aliases}
		if e.IPAddress.IsValid() {
			l.IP = e.IPAddress.String()
		}
		links[name] = l
	}
	return links, nil
}

// Cut takes a container off its networks; who talks to it hears nothing more.
func (f *Fleet) Cut(ctx context.Context, name string) error {
	m, err := f.find(ctx, name)
	if err != nil {
		return err
	}
	links, err := f.links(ctx, m)
	if err != nil {
		return err
	}
	for _, network := range slices.Sorted(maps.Keys(links)) {
		if _, err := f.engine.NetworkDisconnect(ctx, network, client.NetworkDisconnectOptions{Container: m.ID, Force: true}); err != nil {
			return fmt.Errorf("take %s off %s: %w", m.name(), network, err)
		}
	}
	return nil
}

// Join puts a container back on the networks it is not on, with its aliases and,
// where the network's own settings allow it, with its address. An instance that
// gets another one is restarted: it told Consul the old one.
func (f *Fleet) Join(ctx context.Context, name string, links json.RawMessage) (bool, error) {
	var wanted map[string]link
	if err := json.Unmarshal(links, &wanted); err != nil {
		return false, fmt.Errorf("the networks of %s: %w", name, err)
	}
	m, err := f.find(ctx, name)
	if err != nil {
		return false, err
	}
	now, err := f.links(ctx, m)
	if err != nil {
		return false, err
	}
	joined := false
	for _, network := range slices.Sorted(maps.Keys(wanted)) {
		if _, ok := now[network]; ok {
			continue
		}
		if err := f.connect(ctx, m, network, wanted[network]); err != nil {
			return joined, fmt.Errorf("put %s back on %s: %w", m.name(), network, err)
		}
		joined = true
	}
	if !joined {
		return false, nil
	}
	if now, err = f.links(ctx, m); err != nil {
		return true, err
	}
	for network, l := range wanted {
		if m.instance() && l.IP != "" && now[network].IP != l.IP {
			return true, f.Restart(ctx, m.name())
		}
	}
	return true, nil
}

// connect asks for the old address first; only networks with a subnet of the
// user's give one.
func (f *Fleet) connect(ctx context.Context, m member, name string, l link) error {
	settings := &network.EndpointSettings{Aliases: l.Aliases}
	if ip, err := netip.ParseAddr(l.IP); err == nil {
		settings.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: ip}
		_, err := f.engine.NetworkConnect(ctx, name, client.NetworkConnectOptions{Container: m.ID, EndpointConfig: settings})
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	_, err := f.engine.NetworkConnect(ctx, name, client.NetworkConnectOptions{
		Container: m.ID, EndpointConfig: &network.EndpointSettings{Aliases: l.Aliases},
	})
	return err
}
