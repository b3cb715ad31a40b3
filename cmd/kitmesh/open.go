package main

import (
	"github.com/spf13/cobra"
)

func newOpenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Print every URL of the mesh",
		Long:  "Print the URLs of the shop, its API documentation, Consul, Zipkin and the other parts.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fleet, err := openFleet(cmd)
			if err != nil {
				return err
			}
			state, err := fleet.State(cmd.Context())
			if err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), urls(state))
			}
			return writeURLs(cmd.OutOrStdout(), state)
		},
	}
	addOutput(cmd)
	return cmd
}
