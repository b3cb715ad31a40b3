package chaos

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// UpArgs are what kitmesh up is given for the experiment, besides the name of
// the mesh and its stack.
func (e Experiment) UpArgs() []string {
	m := e.Mesh
	args := []string{"--rate", "0", "--instances", strconv.Itoa(m.Instances)}
	if m.Proxies {
		args = append(args, "--proxies")
	}
	if m.Work > 0 {
		args = append(args, "--work", m.Work.String(), "--workers", strconv.Itoa(m.Workers))
	}
	return args
}

// Misfit says that a mesh is not the one an experiment is for.
type Misfit struct{ Why string }

func (m *Misfit) Error() string { return "the mesh does not fit the experiment: " + m.Why }

// Fits reports, as a *Misfit, why the experiment cannot be made with a mesh.
func (e Experiment) Fits(state runner.State) error {
	misfit := func(format string, args ...any) error { return &Misfit{fmt.Sprintf(format, args...)} }
	count := map[string]int{}
	for _, i := range state.Instances {
		if i.Status != "running" {
			return misfit("%s is %s", i.ID, i.Status)
		}
		count[i.Service]++
	}
	for _, service := range runner.Services {
		if count[service] != e.Mesh.Instances {
			return misfit("it has %d instances of %s, and the experiment is for %d", count[service], service, e.Mesh.Instances)
		}
	}
	if state.Work != "" || state.Control != "" { // who has neither, as containers, does not say
		if work := orNone(state.Work); work != e.Mesh.Work.String() || state.Workers != e.Mesh.Workers {
			return misfit("its service time is %s on %d workers, and the experiment is for %s on %d", work, state.Workers, e.Mesh.Work, e.Mesh.Workers)
		}
	}
	if e.Mesh.Proxies && state.Proxy == "" && state.Control != "" { // containers are cut off by their networks
		return misfit("it has no proxies in its lines")
	}
	if e.needsCapacity() && slices.ContainsFunc(state.Parts, func(p runner.Part) bool { return p.Name == "load" }) {
		return misfit("it has customers of its own (kitmesh up --rate), who use a part of the capacity")
	}
	return nil
}

func orNone(work string) string {
	if work == "" {
		return "0s"
	}
	return work
}
