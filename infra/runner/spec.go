package runner

import (
	"context"
	"time"
)

// spec says how to run one child.
type spec struct {
	name    string // the instance's id ("catalog-2") or the part's name ("consul")
	service string // empty for a part
	path    string // the program
	args    []string
	env     []string // besides the supervisor's own
	nice    int      // lowers the priority; 0 leaves it
	grace   time.Duration
	// instance metadata for state.json
	rpc, admin, version, zone string

	source string // the address it calls others from
	extra  bool   // a canary
	faults string // JSON of those it has from the start
	// before runs ahead of every restart, bounded by ctx: Consul forgets the
	// dead predecessor here.
	before func(ctx context.Context)
	// renew gives new ports to a child that keeps dying young: somebody may
	// sit on the old ones. Nil when the ports are promised to users.
	renew func(s *spec) error
}

// drain is how long a child may take to end in good order.
const drain = 10 * time.Second

func (s spec) patience() time.Duration {
	if s.grace > 0 {
		return s.grace
	}
	return drain
}
