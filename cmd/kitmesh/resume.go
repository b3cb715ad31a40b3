package main

import (
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newResumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume SERVICE[/N]|PART",
		Short: "Thaw what kitmesh pause froze",
		Long: `Let a paused instance or part go on (SIGCONT). SERVICE alone means one that is paused.

` + targetHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onTarget(cmd, args[0], isPaused, func(fleet runner.Fleet, name string) (string, error) {
				return "resumed " + name, fleet.Signal(cmd.Context(), name, syscall.SIGCONT)
			})
		},
	}
}

func isPaused(i runner.Instance) bool { return i.Status == "paused" }
