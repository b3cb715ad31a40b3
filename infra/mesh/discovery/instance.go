// Package discovery knows the instances of a service: one blocking query on
// Consul per service, kept alive through everything that happens to Consul, and
// a snapshot that readers take without a lock.
package discovery

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// Instance is one process that serves.
type Instance struct {
	Service string
	ID      string
	Addr    string // host:port, IPv6 in brackets
	Version string
	Zone    string
	Admin   string // URL of its admin server, may be empty
	Started string // RFC 3339; a restart of the same ID changes it
	Weight  int    // share of the traffic, at least 1
	Warning bool   // it reports that it limps
	Doubted bool   // Consul lost it; kept until it returns or the doubt expires
	Meta    map[string]string
	Tags    []string
}

// Key identifies an instance at an address.
func (i Instance) Key() string { return i.ID + "@" + i.Addr }

func (i Instance) equal(o Instance) bool {
	return i.Service == o.Service && i.ID == o.ID && i.Addr == o.Addr && i.Weight == o.Weight &&
		i.Version == o.Version && i.Zone == o.Zone && i.Admin == o.Admin && i.Started == o.Started &&
		i.Warning == o.Warning && i.Doubted == o.Doubted &&
		maps.Equal(i.Meta, o.Meta) && slices.Equal(i.Tags, o.Tags)
}

// state is what Consul says about an instance that it lists.
type state int

const (
	up      state = iota // passing or warning
	down                 // critical: it failed, or its beats did not arrive
	leaving              // draining or in maintenance: out on purpose
)

// listed is one row of Consul's answer.
type listed struct {
	Instance
	state state
	name  string // of the entry in Consul: node and id; survives a change of address
}

func read(entry *api.ServiceEntry, onlyPassing bool) listed {
	s := entry.Service
	l := listed{Instance: Instance{
		Service: s.Service, ID: s.ID, Addr: address(entry), Weight: s.Weights.Passing,
		Version: s.Meta["version"], Zone: s.Meta["zone"], Admin: s.Meta["admin"], Started: s.Meta["started"],
		Meta: s.Meta, Tags: s.Tags,
	}}
	l.name = l.ID
	if entry.Node != nil {
		l.name = entry.Node.Node + "/" + l.ID
	}
	switch entry.Checks.AggregatedStatus() {
	case api.HealthPassing:
	case api.HealthWarning:
		l.Warning, l.Weight = true, s.Weights.Warning
		if onlyPassing {
			l.state = down
		}
	case api.HealthMaint:
		l.state = leaving
	default:
		l.state = down
		if draining(entry.Checks) {
			l.state = leaving
		}
	}
	l.Weight = max(l.Weight, 1)
	return l
}

func draining(checks api.HealthChecks) bool {
	return slices.ContainsFunc(checks, func(c *api.HealthCheck) bool {
		return c.Status == api.HealthCritical && strings.HasPrefix(c.Output, registry.Draining)
	})
}

// address prefers the service's own address; an empty one means the node's.
func address(entry *api.ServiceEntry) string {
	host := entry.Service.Address
	if host == "" && entry.Node != nil {
		host = entry.Node.Address
	}
	host = strings.Trim(host, "[]")
	return net.JoinHostPort(host, strconv.Itoa(entry.Service.Port))
}

func byID(a, b Instance) int {
	return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Addr, b.Addr))
}
