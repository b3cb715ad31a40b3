package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// openFleet opens the mesh that --target and --name mean.
func openFleet(cmd *cobra.Command) (runner.Fleet, error) {
	if meshTarget(cmd) == "compose" {
		return openCompose(cmd)
	}
	return runner.Open(meshName(cmd))
}

// partNames are what runs besides the services.
var partNames = []string{"consul", "broker", "zipkin", "provider", "edge", "load", "proxy", "supervisor"}

// instanceHelp explains the argument of every command that hurts an instance,
// targetHelp of those that hurt parts as well.
const (
	instanceHelp = `SERVICE picks one running instance (the one restarted least), SERVICE/N or SERVICE-N that
one, SERVICE/all every one.`
	targetHelp = instanceHelp + ` Parts go by name: consul, broker, zipkin, provider, edge, load.`
)

// checkTarget refuses a name that cannot exist in any mesh.
func checkTarget(arg string) error {
	service, n := splitTarget(arg)
	if slices.Contains(partNames, arg) {
		return nil
	}
	if !slices.Contains(runner.Services, service) {
		return usageErrorf("%q is neither a service (%s) nor a part (%s)", arg,
			strings.Join(runner.Services, ", "), strings.Join(partNames, ", "))
	}
	if i, err := strconv.Atoi(n); n == "" || n == "all" || err == nil && i > 0 || strings.HasPrefix(arg, service+"-") {
		return nil
	}
	return usageErrorf("%q: after the / comes the number of an instance, or all", arg)
}

// checkInstance refuses what has no faults to inject.
func checkInstance(arg string) error {
	if slices.Contains(partNames, arg) {
		return usageErrorf("%s is a part; only instances of services can be slow or fail on purpose", arg)
	}
	return checkTarget(arg)
}

// splitTarget takes catalog/2 and catalog-2 apart.
func splitTarget(arg string) (service, n string) {
	if service, n, ok := strings.Cut(arg, "/"); ok {
		return service, cmp.Or(n, "?")
	}
	service, n, _ = strings.Cut(arg, "-")
	return service, n
}

// pick returns the names of the instances or parts arg means. want narrows the
// choice of "one of SERVICE"; nil takes a running one.
func pick(state runner.State, arg string, want func(runner.Instance) bool) ([]string, error) {
	service, n := splitTarget(arg)
	var all []runner.Instance
	for _, i := range state.Instances {
		if i.ID == arg {
			return []string{arg}, nil
		}
		if i.Service == service {
			all = append(all, i)
		}
	}
	if i, err := strconv.Atoi(n); err == nil {
		return numbered(all, service, i)
	}
	for _, p := range state.Parts {
		if p.Name == arg {
			return []string{arg}, nil
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s does not run in this mesh", arg)
	}
	if want == nil {
		want = func(i runner.Instance) bool { return i.Status == "running" }
	}
	all = slices.DeleteFunc(all, func(i runner.Instance) bool { return !want(i) })
	if len(all) == 0 {
		return nil, fmt.Errorf("no instance of %s is running right now", service)
	}
	if n == "all" {
		return ids(all), nil
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	one := slices.MinFunc(all, func(a, b runner.Instance) int { return cmp.Compare(a.Restarts, b.Restarts) })
	return []string{one.ID}, nil
}

// numbered finds instance n of a service: the one with that id or, where ids are
// made of container ids, the one in compose's container of that number.
func numbered(all []runner.Instance, service string, n int) ([]string, error) {
	id := fmt.Sprintf("%s-%d", service, n)
	for _, i := range all {
		if i.ID == id || strings.HasSuffix(i.Container, "-"+id) {
			return []string{i.ID}, nil
		}
	}
	return nil, fmt.Errorf("there is no %s/%d; %s has %d instances", service, n, service, len(all))
}

func ids(instances []runner.Instance) []string {
	names := make([]string, len(instances))
	for i, in := range instances {
		names[i] = in.ID
	}
	return names
}

// onTarget opens the mesh, finds what arg means and does act to each.
func onTarget(cmd *cobra.Command, arg string, want func(runner.Instance) bool,
	act func(fleet runner.Fleet, name string) (done string, err error),
) error {
	if err := checkTarget(arg); err != nil {
		return err
	}
	fleet, err := openFleet(cmd)
	if err != nil {
		return err
	}
	state, err := fleet.State(cmd.Context())
	if err != nil {
		return err
	}
	names, err := pick(state, arg, want)
	if err != nil {
		return err
	}
	for _, name := range names {
		done, err := act(fleet, name)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), done)
	}
	return nil
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
