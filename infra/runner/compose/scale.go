package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// maxInstances bounds what one engine is asked to run of a service.
const maxInstances = 50

// Scale sets the number of a service's containers. A new one is the copy of an
// existing one with the next number, as compose itself would make it, so that
// docker compose keeps owning all of them. Surplus ones, the highest numbers
// first, end in good order and are removed; the last one is only stopped,
// because it is the pattern for the next.
func (f *Fleet) Scale(ctx context.Context, service string, n int) error {
	if !slices.Contains(runner.Services, service) {
		return fmt.Errorf("%q is not a service of the shop", service)
	}
	if n < 0 || n > maxInstances {
		return fmt.Errorf("a service has 0 to %d instances, not %d", maxInstances, n)
	}
	members, err := f.containers(ctx)
	if err != nil {
		return err
	}
	members = slices.DeleteFunc(members, func(m member) bool { return m.service != service || m.extra() })
	if len(members) == 0 {
		return fmt.Errorf("the stack has no container of %s to copy: docker compose up -d --scale %s=%d makes one", service, service, n)
	}
	for i, m := range members {
		if i < n && m.State == "exited" {
			if _, err := f.engine.ContainerStart(ctx, m.ID, client.ContainerStartOptions{}); err != nil {
				return fmt.Errorf("start %s: %w", m.name(), err)
			}
		}
	}
	for number := len(members); number < n; number++ {
		if err := f.copy(ctx, members[0], numbered(members[0].service, freeNumber(&members))); err != nil {
			return err
		}
	}
	for _, m := range slices.Backward(members[min(n, len(members)):]) {
		if err := f.remove(ctx, m, m.ID == members[0].ID); err != nil {
			return err
		}
	}
	return nil
}

// freeNumber takes the lowest number no member has.
func freeNumber(members *[]member) int {
	number := 1
	for slices.ContainsFunc(*members, func(m member) bool { return m.number == number }) {
		number++
	}
	*members = append(*members, member{number: number})
	return number
}

// pattern is how a copy differs from its original.
type pattern struct {
	name   string            // of the container
	labels map[string]string // set
	env    []string          // NAME=VALUE, set
}

func numbered(service string, number int) pattern {
	return pattern{
		name:   fmt.Sprintf("%s-%s-%d", Project, service, number),
		labels: map[string]string{labelNumber: strconv.Itoa(number)},
	}
}

// copy creates and starts a container like m but for the pattern.
func (f *Fleet) copy(ctx context.Context, m member, p pattern) error {
	answer, err := f.engine.ContainerInspect(ctx, m.ID, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("inspect %s: %w", m.name(), err)
	}
	c := answer.Container
	if c.Config == nil || c.NetworkSettings == nil {
		return fmt.Errorf("inspect %s: the engine does not tell its configuration", m.name())
	}
	config := *c.Config
	config.Hostname = "" // a new one: it becomes the instance's id
	config.Labels = maps.Clone(config.Labels)
	maps.Copy(config.Labels, p.labels)
	config.Env = replaced(config.Env, p.env)
	name := p.name
	networks := map[string]*network.EndpointSettings{}
	for id := range c.NetworkSettings.Networks {
		networks[id] = &network.EndpointSettings{Aliases: []string{m.service, name}}
	}
	created, err := f.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name, Config: &config, HostConfig: c.HostConfig,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: networks},
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if _, err := f.engine.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		_, undo := f.engine.ContainerRemove(ctx, created.ID, client.ContainerRemoveOptions{Force: true})
		return fmt.Errorf("start %s: %w", name, errors.Join(err, undo))
	}
	return nil
}

// replaced returns env with some variables set: of two with one name a process
// sees the first.
func replaced(env, set []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	})
	return append(env, set...)
}

// remove ends a container within its grace, then removes it unless it is kept.
func (f *Fleet) remove(ctx context.Context, m member, keep bool) error {
	if _, err := f.engine.ContainerStop(ctx, m.ID, client.ContainerStopOptions{}); err != nil {
		return fmt.Errorf("stop %s: %w", m.name(), err)
	}
	if keep {
		return nil
	}
	if _, err := f.engine.ContainerRemove(ctx, m.ID, client.ContainerRemoveOptions{}); err != nil {
		return fmt.Errorf("remove %s: %w", m.name(), err)
	}
	return nil
}
