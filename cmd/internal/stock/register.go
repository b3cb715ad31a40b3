package stock

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/go-kit/kit/sd"
	consulsd "github.com/go-kit/kit/sd/consul"
	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// Registrar enters an instance with kit's Registrar: once, and out again.
type Registrar struct{ kit sd.Registrar }

// Registrar returns the one of the instance that reg describes. go-kit's
// examples leave the registration out; what its users write, and Consul's
// documentation shows, is an HTTP check every 10 s with 1 s of patience. Like
// theirs, the instance is critical until the first check.
func (s *Stack) Registrar(reg registry.Registration) (*Registrar, error) {
	host, text, err := net.SplitHostPort(reg.Addr)
	if err != nil {
		return nil, fmt.Errorf("registration of %s: %w", reg.ID, err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("registration of %s: %w", reg.ID, err)
	}
	return &Registrar{consulsd.NewRegistrar(s.sd, &api.AgentServiceRegistration{
		ID: reg.ID, Name: reg.Service, Address: host, Port: port,
		Tags: []string{"version=" + reg.Version, "zone=" + reg.Zone},
		Meta: map[string]string{"version": reg.Version, "zone": reg.Zone, "admin": reg.Admin},
		Check: &api.AgentServiceCheck{
			Name: "health of " + reg.ID, HTTP: reg.Admin + "/readyz",
			Interval: "10s", Timeout: "1s", DeregisterCriticalServiceAfter: "1m",
		},
	}, s.log)}, nil
}

// Run registers the instance and returns when ctx ends. Kit's Register knows
// neither context nor timeout, so a frozen Consul must not hold up the end.
func (r *Registrar) Run(ctx context.Context) error {
	go r.kit.Register() // ends with Consul's answer, or with the process
	<-ctx.Done()
	return nil
}

// Drain takes the instance out of Consul, waiting no longer than ctx.
func (r *Registrar) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.kit.Deregister()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
