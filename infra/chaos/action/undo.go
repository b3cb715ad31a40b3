package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// undoers put things back as they were, by kind of change. Each looks first and
// says nothing when there is nothing to do, as after a crash between the log and
// the change or when somebody else put it right; and looks again after.
var undoers = map[string]func(ctx context.Context, fleet runner.Fleet, u undo) (did string, err error){
	undoRun:     runAgain,
	undoResume:  resume,
	undoFaults:  clearFaults,
	undoScale:   scaleBack,
	undoToxic:   disinfect,
	undoConnect: connect,
	undoCanary:  dismiss,
}

const (
	undoPatience = 25 * time.Second // for one change: a container drains for 10 s before it restarts
	lookEvery    = 10 * time.Millisecond
)

// statusOf returns the status of an instance or a part; "" when the mesh has none
// of that name.
func statusOf(ctx context.Context, fleet runner.Fleet, name string) (string, error) {
	state, err := fleet.State(ctx)
	if err != nil {
		return "", err
	}
	if i, ok := instance(state, name); ok {
		return i.Status, nil
	}
	for _, p := range state.Parts {
		if p.Name == name {
			return p.Status, nil
		}
	}
	return "", nil
}

func instance(state runner.State, id string) (runner.Instance, bool) {
	for _, i := range state.Instances {
		if i.ID == id || i.Extra && strings.HasSuffix(i.Container, "-"+id) { // a container's id is not of our choice
			return i, true
		}
	}
	return runner.Instance{}, false
}

// await looks until ok, or the error of the last look; what says what is wrong
// until then.
func await(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		good, err := ok()
		if good {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("it %s: %w", what, context.Cause(ctx)), err)
		case <-tick.C:
		}
	}
}
