package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/infra/runner"
)

func newStatusCommand() *cobra.Command {
	var views bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs and how it is",
		Long: `Show every instance (process, address, health in Consul, restarts, memory), every part,
the URLs, and the memory of all instances, the broker and Consul together.

STATUS is running, paused, restarting or stopped; HEALTH is what Consul thinks.

With --mesh it asks every instance how it sees those it calls: which policy and zone, how
many instances it uses of how many it knows, which are out and why, and where settings
differ from those of most callers. -o json has all settings in force, and every instance
as each caller sees it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fleet, err := openFleet(cmd)
			if err != nil {
				return err
			}
			state, err := fleet.State(cmd.Context())
			if err != nil {
				return err
			}
			answer := newStatus(cmd.Context(), state)
			if views {
				answer.Mesh = askViews(cmd.Context(), state.Instances)
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			return answer.write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&views, "mesh", false, "show how each instance sees those it calls")
	addOutput(cmd)
	return cmd
}

// status is the state and what Consul says about it.
type status struct {
	runner.State
	Health   map[string]string `json:"health"` // by instance id
	RSSBytes int64             `json:"rss_bytes"`
	Mesh     []view            `json:"mesh,omitempty"` // with --mesh
	trouble  error             // why Health is empty
}

// budgeted are the parts that count against the memory promise (1 GB with all
// instances); Zipkin's JVM and the load are not the mesh's.
var budgeted = map[string]bool{"consul": true, "broker": true}

func newStatus(ctx context.Context, state runner.State) status {
	s := status{State: state}
	s.Health, s.trouble = runner.Health(ctx, state.Consul)
	if s.Health == nil {
		s.Health = map[string]string{}
	}
	for _, i := range state.Instances {
		s.RSSBytes += i.RSSBytes
	}
	for _, p := range state.Parts {
		if budgeted[p.Name] {
			s.RSSBytes += p.RSSBytes
		}
	}
	return s
}

func (s status) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tID\tPID\tRPC\tHEALTH\tRESTARTS\tRSS\tSTATUS")
	for _, i := range s.Instances {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i.Service, i.ID, process(i.PID, i.Container),
			i.RPC, cmp.Or(s.Health[i.ID], "-"), i.Restarts, mebibytes(i.RSSBytes), i.Status)
	}
	fmt.Fprintln(t, "\t\t\t\t\t\t\t")
	fmt.Fprintln(t, "PART\t\tPID\t\t\tRESTARTS\tRSS\tSTATUS")
	for _, p := range s.Parts {
		fmt.Fprintf(t, "%s\t\t%s\t\t\t%d\t%s\t%s\n", p.Name, process(p.PID, p.Container),
			p.Restarts, mebibytes(p.RSSBytes), p.Status)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if s.trouble != nil {
		fmt.Fprintln(w, "\nno health:", oneLine(s.trouble))
	}
	if s.Stack == app.StackStock {
		fmt.Fprintln(w, "\nstack: stock (go-kit's own rings and discovery, for comparison)")
	}
	if s.Mesh != nil {
		if err := writeViews(w, s.Mesh); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%d instances, broker and Consul: %s RSS\n\n", len(s.Instances), mebibytes(s.RSSBytes))
	return writeURLs(w, s.State)
}

// process names what runs: a container, or a pid.
func process(pid int, container string) string {
	switch {
	case container != "":
		return container
	case pid > 0:
		return strconv.Itoa(pid)
	}
	return "-"
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
