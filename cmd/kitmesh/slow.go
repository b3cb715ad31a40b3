package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newSlowCommand() *cobra.Command {
	var latency time.Duration
	var clearAll bool
	cmd := &cobra.Command{
		Use:   "slow SERVICE[/N] --latency 200ms",
		Short: "Make an instance slow",
		Long: `Delay every answer of an instance, until --clear or its next restart. It replaces the
faults injected before; --clear removes all of them, of every instance SERVICE has.

` + instanceHelp,
		Example: "  kitmesh slow pricing/1 --latency 200ms\n  kitmesh slow pricing --clear",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !clearAll && (latency <= 0 || latency > time.Hour) {
				return usageErrorf("--latency is a duration up to 1h, as 200ms (or give --clear)")
			}
			return inject(cmd, args[0], clearAll, runner.Faults{Latency: latency.String()},
				fmt.Sprintf("answers %s later", latency))
		},
	}
	cmd.Flags().DurationVar(&latency, "latency", 0, "how much later it answers")
	cmd.Flags().BoolVar(&clearAll, "clear", false, "remove the injected faults")
	cmd.MarkFlagsMutuallyExclusive("latency", "clear")
	return cmd
}

// inject sets faults, or clears them, of what arg means.
func inject(cmd *cobra.Command, arg string, clearAll bool, faults runner.Faults, done string) error {
	if err := checkInstance(arg); err != nil {
		return err
	}
	if clearAll {
		faults, done = runner.Faults{}, "behaves again"
		if service, n := splitTarget(arg); n == "" {
			arg = service + "/all"
		}
	}
	return onTarget(cmd, arg, nil, func(fleet runner.Fleet, name string) (string, error) {
		return name + " " + done, fleet.Faults(cmd.Context(), name, faults)
	})
}
