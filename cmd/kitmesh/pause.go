package main

import (
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newPauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause SERVICE[/N]|PART",
		Short: "Freeze an instance or a part, as a long hang would",
		Long: `Freeze an instance or a part (SIGSTOP): its connections stay open and nobody answers.
Consul sees its heartbeat fail. kitmesh resume thaws it.

` + targetHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onTarget(cmd, args[0], nil, func(fleet runner.Fleet, name string) (string, error) {
				return "paused " + name, fleet.Signal(cmd.Context(), name, syscall.SIGSTOP)
			})
		},
	}
}
