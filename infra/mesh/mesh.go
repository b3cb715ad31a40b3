// Package mesh joins a process to the mesh: it finds the services that the
// process calls and keeps a Target for each. The parts stand on their own in the
// packages below:
//
//	consul      a client of Consul whose calls end
//	registry    one instance's own entry: register, beat, leave
//	discovery   the instances of a service, whatever happens to Consul
//	target      calls: connections, balancing, breakers, retries
//	consultest  a real Consul for tests
package mesh

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// Options configures a Mesh. Only Consul is needed.
type Options struct {
	Consul    *api.Client
	Discovery discovery.Options
	Target    target.Options // for every target; Service and Source are set by the Mesh
	// Each changes the options of one target; nil changes none.
	Each func(service string, o *target.Options)
}

// Mesh holds the targets of a process. It is safe for concurrent use.
type Mesh struct {
	opts Options

	mu      sync.Mutex
	closed  bool
	targets map[string]joined
}

type joined struct {
	*target.Target
	source *discovery.Instancer
}

// New returns a Mesh without targets. It contacts nobody.
func New(o Options) *Mesh {
	return &Mesh{opts: o, targets: map[string]joined{}}
}

// Target returns the target of a service, the same one at every call: one watch
// and one connection per instance serve the whole process. It waits for nothing.
// After Close it panics: whoever calls it then lost track of the shutdown.
func (m *Mesh) Target(service string) *target.Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.targets[service]; ok {
		return t.Target
	}
	if m.closed {
		panic(fmt.Sprintf("mesh: Target(%q) after Close", service))
	}
	source := discovery.New(m.opts.Consul, service, m.opts.Discovery)
	o := m.opts.Target
	if m.opts.Each != nil {
		m.opts.Each(service, &o)
	}
	o.Service, o.Source = service, source
	t := target.New(o)
	m.targets[service] = joined{t, source}
	return t
}

// Targets lists the targets by name.
func (m *Mesh) Targets() []*target.Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*target.Target, 0, len(m.targets))
	for _, t := range m.targets {
		list = append(list, t.Target)
	}
	slices.SortFunc(list, func(a, b *target.Target) int { return strings.Compare(a.Service(), b.Service()) })
	return list
}

// Handler serves what the targets know; mount it at /mesh on the admin port.
func (m *Mesh) Handler() http.Handler { return target.Handler(m.Targets) }

// Close ends all targets and watches. Calls in flight get the drain time.
func (m *Mesh) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	var wg sync.WaitGroup
	for _, t := range m.targets {
		wg.Go(func() {
			_ = t.Close() // always nil
			t.source.Stop()
		})
	}
	wg.Wait()
	return nil
}
