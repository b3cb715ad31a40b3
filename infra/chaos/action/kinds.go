package action

import (
	"context"
	"strings"
)

// kind is one action: its fields, whom it is for, and what it does.
type kind struct {
	name      string
	on        aim
	needs     []string // fields of a Spec, as in a file
	takes     []string
	either    []string // at least one of these
	takesDown bool     // its victims serve nobody meanwhile: min-healthy counts
	wide      bool     // it is for a service as a whole; it guards min-healthy itself

	once func(ctx context.Context, r *Running, v victim) error                                // or
	long func(ctx context.Context, r *Running) (run func(ctx context.Context) error, _ error) // begins; run goes on
}

// aim is whom an action is for.
type aim int

const (
	onInstances aim = iota
	onBoth          // instances and parts
)

// kinds are the actions by name.
var kinds = map[string]kind{}

func init() {
	for _, k := range []kind{
		killKind, pauseKind, restartKind, rollingKind, scaleKind, slowKind, failKind,
		latencyKind, lossKind, resetKind, partitionKind, burnKind, canaryKind,
	} {
		kinds[k.name] = k
	}
}

// list says which fields a kind has.
func (k kind) list() string {
	all := append(append([]string{}, k.needs...), k.takes...)
	if len(all) == 0 {
		return ""
	}
	return "; it has " + strings.Join(all, ", ")
}
