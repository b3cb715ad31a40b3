package main

import (
	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
	"github.com/kitmesh/kitmesh/infra/runner/compose"
)

// openCompose opens the mesh that docker compose runs.
func openCompose(cmd *cobra.Command) (runner.Fleet, error) {
	return compose.Open(cmd.Context())
}
