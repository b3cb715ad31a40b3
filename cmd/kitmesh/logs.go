package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newLogsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [SERVICE[/N]|PART]",
		Short: "Show what instances and parts wrote",
		Long: `Copy the logs of every instance of SERVICE, of one instance or of a part; without an
argument those of everything. When there are several, each line begins with its writer.`,
		Example: "  kitmesh logs orders -f\n  kitmesh logs consul",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := checkTarget(args[0]); err != nil {
					return err
				}
			}
			fleet, err := openFleet(cmd)
			if err != nil {
				return err
			}
			state, err := fleet.State(cmd.Context())
			if err != nil {
				return err
			}
			names, err := writers(state, args)
			if err != nil {
				return err
			}
			return copyLogs(cmd.Context(), fleet, names, follow, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added, until Ctrl-C")
	return cmd
}

// writers names whose logs are meant.
func writers(state runner.State, args []string) ([]string, error) {
	if len(args) == 1 {
		if _, n := splitTarget(args[0]); n == "" && checkInstance(args[0]) == nil {
			args[0] += "/all"
		}
		return pick(state, args[0], func(runner.Instance) bool { return true })
	}
	names := ids(state.Instances)
	for _, p := range state.Parts {
		if p.Name != "supervisor" { // in front it writes to the terminal
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// copyLogs copies one log as it is, several with the writer's name before each
// line: one after the other, or all at once when they are followed.
func copyLogs(ctx context.Context, fleet runner.Fleet, names []string, follow bool, w io.Writer) error {
	if len(names) == 1 {
		return fleet.Logs(ctx, names[0], follow, w)
	}
	group, ctx := errgroup.WithContext(ctx)
	if !follow {
		group.SetLimit(1)
	}
	var mu sync.Mutex
	for _, name := range names {
		group.Go(func() error {
			out := &prefixWriter{mu: &mu, w: w, prefix: name + " | "}
			if err := fleet.Logs(ctx, name, follow, out); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// prefixWriter writes whole lines, each behind a prefix.
type prefixWriter struct {
	mu     *sync.Mutex // of w
	w      io.Writer
	prefix string
	rest   []byte
}

func (p *prefixWriter) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		line, rest, found := bytes.Cut(p.rest, []byte{'\n'})
		if !found {
			return len(data), nil
		}
		p.rest = rest
		if _, err := fmt.Fprintf(p.w, "%s%s\n", p.prefix, line); err != nil {
			return 0, err
		}
	}
}
