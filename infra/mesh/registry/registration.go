// Package registry keeps one instance of a service registered in Consul: it
// registers, beats, registers again when Consul forgets, and leaves in order.
package registry

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
)

// DefaultTTL is how long Consul believes in an instance without a beat.
const DefaultTTL = 800 * time.Millisecond

// Draining begins the check output of an instance that leaves on purpose.
// Discovery tells by it a departure from a loss.
const Draining = "draining"

// Registration is what the others learn about an instance.
type Registration struct {
	Service string            // "catalog"
	ID      string            // "catalog-2"; unique in the mesh
	Addr    string            // host:port that callers dial
	Version string            // "v1"
	Zone    string            // "local"
	Admin   string            // URL of the admin server; may be empty
	Tags    []string          // more tags, after the ones made of the fields
	Meta    map[string]string // more metadata; the fields win
	Weight  int               // share of the traffic; 0 means 1
	TTL     time.Duration     // 0 means DefaultTTL; a beat is sent every quarter
	Started time.Time         // zero means the time of New
}

func (r Registration) withDefaults() Registration {
	if r.TTL <= 0 {
		r.TTL = DefaultTTL
	}
	if r.Weight <= 0 {
		r.Weight = 1
	}
	if r.Started.IsZero() {
		r.Started = time.Now()
	}
	return r
}

func (r Registration) validate() error {
	if r.Service == "" || r.ID == "" {
		return fmt.Errorf("registration of %q with id %q: both the service and the id are needed", r.Service, r.ID)
	}
	_, _, err := r.hostPort()
	return err
}

func (r Registration) hostPort() (string, int, error) {
	host, text, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("registration of %s: address %q: %w", r.ID, r.Addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return "", 0, fmt.Errorf("registration of %s: address %q needs a port from 1 to 65535", r.ID, r.Addr)
	}
	return host, int(port), nil
}

// checkID names the one check of the instance; it is unique on the agent.
func (r Registration) checkID() string { return "alive:" + r.ID }

func (r Registration) tags() []string {
	tags := []string{"version=" + r.Version, "zone=" + r.Zone}
	return append(tags, r.Tags...)
}

func (r Registration) meta() map[string]string {
	meta := maps.Clone(r.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	meta["version"] = r.Version
	meta["zone"] = r.Zone
	meta["admin"] = r.Admin
	meta["started"] = r.Started.UTC().Format(time.RFC3339Nano)
	return meta
}

// forConsul states the instance in Consul's words. The status is given because
// a TTL check is critical until its first beat otherwise, and the instance
// invisible.
func (r Registration) forConsul(status string) (*api.AgentServiceRegistration, error) {
	host, port, err := r.hostPort()
	if err != nil {
		return nil, err
	}
	return &api.AgentServiceRegistration{
		ID:      r.ID,
		Name:    r.Service,
		Address: host,
		Port:    port,
		Tags:    r.tags(),
		Meta:    r.meta(),
		Weights: &api.AgentWeights{Passing: r.Weight, Warning: r.Weight},
		Connect: &api.AgentServiceConnect{Native: true},
		Check: &api.AgentServiceCheck{
			CheckID:                        r.checkID(),
			Name:                           "health of " + r.ID + ", by itself",
			Notes:                          fmt.Sprintf("the instance reports every %v", r.TTL/4),
			TTL:                            r.TTL.String(),
			Status:                         status,
			DeregisterCriticalServiceAfter: "1m", // Consul's own minimum
		},
	}, nil
}
