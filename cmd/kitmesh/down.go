package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newDownCommand() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the mesh and leave no process behind",
		Long: `End the mesh: first what asks (load, edge, gateways), then the services, then provider,
broker and Zipkin, Consul last; what does not end within 10 seconds is killed. It works
without the supervisor too, as after kill -9 of kitmesh. Orders and logs stay for the
next up, unless --purge is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if meshTarget(cmd) == "compose" {
				return usageErrorf("containers are ended with docker compose down, not with kitmesh down")
			}
			newNarrator(cmd.ErrOrStderr()).Progress("stopping")
			was, err := runner.Down(cmd.Context(), meshName(cmd), purge)
			if err != nil {
				return err
			}
			text := "mesh %s is down\n"
			if !was {
				text = "mesh %s was not up\n"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), text, meshName(cmd))
			return err
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove orders, ledgers and logs too")
	return cmd
}
