package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// newFaultsCommand is what slow and fail run inside a container: the admin
// port of an instance cannot be reached from every kind of host.
func newFaultsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "faults URL [JSON]",
		Short:   "Set or show the injected faults of the instance at an admin URL (runs inside a container)",
		Example: `  kitmesh faults http://127.0.0.1:7001 '{"latency":"200ms"}'`,
		Args:    cobra.RangeArgs(1, 2),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f, err := runner.GetFaults(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), f)
			}
			var f runner.Faults
			if err := json.Unmarshal([]byte(args[1]), &f); err != nil {
				return usageErrorf("faults are JSON such as {\"latency\":\"200ms\",\"error_rate\":0.5}: %w", err)
			}
			return runner.PostFaults(cmd.Context(), args[0], f)
		},
	}
}
