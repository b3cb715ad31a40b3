package main

import (
	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
	"github.com/kitmesh/kitmesh/middleware"
)

// newBurnCommand is what an experiment burns this machine's processors with.
func newBurnCommand() *cobra.Command {
	var workers int
	cmd := &cobra.Command{
		Use:    "burn",
		Short:  "Burn processor time until stdin ends, for 10 minutes at most",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if workers < 1 || workers > 64 {
				return usageErrorf("--workers is 1 to 64, not %d", workers)
			}
			middleware.Burn(workers, action.UntilClosed(cmd.InOrStdin()))
			return nil
		},
	}
	cmd.Flags().IntVar(&workers, "workers", 1, "processors to burn, 1 to 64")
	return cmd
}
