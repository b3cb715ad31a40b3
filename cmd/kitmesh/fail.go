package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newFailCommand() *cobra.Command {
	var rate float64
	var clearAll bool
	cmd := &cobra.Command{
		Use:   "fail SERVICE[/N] --rate 0.5",
		Short: "Make an instance fail a share of its requests",
		Long: `Let an instance fail a share of its requests, until --clear or its next restart. It
replaces the faults injected before; --clear removes all of them, of every instance
SERVICE has.

` + instanceHelp,
		Example: "  kitmesh fail shipping/2 --rate 0.5\n  kitmesh fail shipping --clear",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !clearAll && !(rate > 0 && rate <= 1) { // NaN is neither
				return usageErrorf("--rate is above 0 and at most 1, as 0.5 (or give --clear)")
			}
			return inject(cmd, args[0], clearAll, runner.Faults{ErrorRate: rate},
				fmt.Sprintf("fails %g %% of its requests", rate*100))
		},
	}
	cmd.Flags().Float64Var(&rate, "rate", 0, "share of the requests that fail, 0 to 1")
	cmd.Flags().BoolVar(&clearAll, "clear", false, "remove the injected faults")
	cmd.MarkFlagsMutuallyExclusive("rate", "clear")
	return cmd
}
