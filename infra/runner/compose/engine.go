// Package compose steers the mesh that docker compose runs. It talks to the
// Docker Engine alone (DOCKER_HOST or the local socket), needs neither the
// docker command nor the compose file, and touches no container that is not
// labelled as one of the project kitmesh.
package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/kitmesh/kitmesh/infra/runner"
)

const (
	// Project is the name docker-compose.yml gives the stack.
	Project = "kitmesh"

	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneOff  = "com.docker.compose.oneoff" // "True" for docker compose run

	// openPatience bounds the first question to the engine.
	openPatience = 5 * time.Second
)

// ErrNoStack says that an engine answers but runs no container of the project.
var ErrNoStack = errors.New("no compose stack is there: start it with docker compose up -d")

// Fleet is the compose stack as a runner.Fleet.
type Fleet struct {
	engine *client.Client
}

var _ runner.Fleet = (*Fleet)(nil)

// Open finds the engine and the stack. It fails with a sentence when no engine
// answers and with ErrNoStack when the engine has no container of ours.
// The connection ends when ctx does.
func Open(ctx context.Context) (runner.Fleet, error) {
	f, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := f.containers(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// connect makes a Fleet of an engine that answers, whatever it runs.
func connect(ctx context.Context) (*Fleet, error) {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("the Docker settings of the environment (DOCKER_HOST ...) are wrong: %w", err)
	}
	asked, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	if _, err := engine.Ping(asked, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		_ = engine.Close()
		return nil, fmt.Errorf("no Docker Engine answers at %s: start it or set DOCKER_HOST: %w", engine.DaemonHost(), err)
	}
	context.AfterFunc(ctx, func() { _ = engine.Close() })
	return &Fleet{engine: engine}, nil
}

// member is one container of the stack.
type member struct {
	container.Summary
	service string // as in docker-compose.yml
	number  int    // 1, 2, 3 ...: compose's own count of the service's containers
}

// partNames maps services of docker-compose.yml to what the operator's tool
// calls the part, where the two differ.
var partNames = map[string]string{"nats": "broker"}

// name returns the id of an instance, which is also its id in Consul, or the
// name of a part.
func (m member) name() string {
	if m.instance() {
		// An instance names itself after its host name, which is the first
		// twelve digits of the container's id.
		return m.service + "-" + m.ID[:min(12, len(m.ID))]
	}
	return cmp.Or(partNames[m.service], m.service)
}

func (m member) instance() bool { return slices.Contains(runner.Services, m.service) }

// answers tells whether a user may mean this member by name: the id, the
// SERVICE-N of compose, the container's name, or the service of a part.
func (m member) answers(name string) bool {
	switch name {
	case m.name(), fmt.Sprintf("%s-%d", m.service, m.number):
		return true
	case m.service:
		return !m.instance()
	case m.Labels[labelExtra]:
		return true
	}
	return slices.Contains(m.Names, "/"+name)
}

// containers lists the stack, stopped members too, in order of service and
// number; ErrNoStack when there is none.
func (f *Fleet) containers(ctx context.Context) ([]member, error) {
	list, err := f.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list the stack's containers: %w", err)
	}
	var members []member
	for _, c := range list.Items {
		if m := newMember(c); c.Labels[labelOneOff] != "True" {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return nil, ErrNoStack
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(
			cmp.Compare(slices.Index(runner.Services, a.service), slices.Index(runner.Services, b.service)),
			cmp.Compare(a.service, b.service),
			cmp.Compare(a.number, b.number),
		)
	})
	return members, nil
}

func newMember(c container.Summary) member {
	number, err := strconv.Atoi(c.Labels[labelNumber])
	if err != nil {
		number = 1
	}
	return member{Summary: c, service: c.Labels[labelService], number: number}
}

// ours is the filter every list and every subscription uses.
func ours() client.Filters {
	return client.Filters{}.Add("label", labelProject+"="+Project)
}

// find returns the one member that a name means.
func (f *Fleet) find(ctx context.Context, name string) (member, error) {
	members, err := f.containers(ctx)
	if err != nil {
		return member{}, err
	}
	var names []string
	for _, m := range members {
		if m.answers(name) {
			return m, nil
		}
		names = append(names, m.name())
	}
	return member{}, fmt.Errorf("the compose stack has no %q, only %s", name, strings.Join(names, ", "))
}
