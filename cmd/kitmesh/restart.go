package main

import (
	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newRestartCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restart SERVICE[/N]|PART",
		Short: "Restart an instance or a part in good order",
		Long: `End an instance or a part as a deployment would (SIGTERM: it deregisters and finishes
what it has begun, at most 10 seconds) and start it again at once.

` + targetHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onTarget(cmd, args[0], nil, func(fleet runner.Fleet, name string) (string, error) {
				return "restarted " + name, fleet.Restart(cmd.Context(), name)
			})
		},
	}
}
