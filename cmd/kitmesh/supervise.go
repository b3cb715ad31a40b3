package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner/compose"
)

// newSuperviseCommand is the part of the compose stack that does what `kitmesh
// up` does for local processes: a killed container comes back.
func newSuperviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Short:  "Start killed containers of the compose stack again (runs inside the stack)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return compose.Supervise(cmd.Context(), log)
		},
	}
}
