package main

import (
	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner/compose"
)

// newSuperviseCommand is the part of the compose stack that does what `kitmesh
// up` does for local processes: a killed container comes back.
func newSuperviseCommand() *cobra.Command {
	var log *logging
	cmd := &cobra.Command{
		Use:    "supervise",
		Short:  "Start killed containers of the compose stack again (runs inside the stack)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger(cmd)
			if err != nil {
				return err
			}
			return compose.Supervise(cmd.Context(), logger)
		},
	}
	log = addLogging(cmd)
	return cmd
}
