package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

var _ runner.Hirer = (*Fleet)(nil)

// labelExtra marks containers that Scale does not count, such as a canary.
const labelExtra = "kitmesh.extra"

// extraNumber is compose's number of such a container: higher than any that Scale
// gives.
const extraNumber = "1000"

func (m member) extra() bool { return m.Labels[labelExtra] != "" }

// Hire starts a container like the service's own, of another version and with
// faults. docker compose owns it, too, and removes it with the stack.
func (f *Fleet) Hire(ctx context.Context, h runner.Hire) (string, error) {
	members, err := f.containers(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.service == h.Service && m.instance() && !m.extra() })
	if i < 0 {
		return "", fmt.Errorf("the stack has no container of %s to copy", h.Service)
	}
	faults, err := json.Marshal(h.Faults)
	if err != nil {
		return "", err
	}
	err = f.copy(ctx, members[i], pattern{
		name:   Project + "-" + h.Name,
		labels: map[string]string{labelNumber: extraNumber, labelExtra: h.Name},
		env:    []string{"KITMESH_VERSION=" + h.Version, "KITMESH_FAULTS=" + string(faults)},
	})
	if err != nil {
		return "", err
	}
	m, err := f.find(ctx, h.Name)
	return m.name(), err
}

// Dismiss ends a container that was hired, in good order, and removes it.
func (f *Fleet) Dismiss(ctx context.Context, name string) error {
	members, err := f.containers(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.answers(name) })
	if i < 0 {
		return nil // it is gone, as wished
	}
	m := members[i]
	if !m.extra() {
		return fmt.Errorf("%s was not hired; kitmesh scale ends it", m.name())
	}
	if m.State == "running" {
		return f.remove(ctx, m, false)
	}
	if _, err := f.engine.ContainerRemove(ctx, m.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		return fmt.Errorf("remove %s: %w", m.name(), err)
	}
	return nil
}
