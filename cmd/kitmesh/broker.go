package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/broker"
)

// newBrokerCommand runs the embedded broker until the process is told to end.
func newBrokerCommand() *cobra.Command {
	var o broker.ServerOptions
	var log *logging
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the broker (NATS JetStream) in the foreground",
		Long: `Run the broker in the foreground: NATS JetStream in one process, storing in --dir.

What it acknowledges is synced to disk first. It prints one line when it takes
connections, and ends in good order on SIGTERM or Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			var err error
			if o.Logger, err = log.logger(cmd); err != nil {
				return err
			}
			return broker.Serve(cmd.Context(), o, func(url string) {
				fmt.Fprintf(cmd.OutOrStdout(), "broker ready on %s, store %s\n", url, o.Dir)
			})
		},
	}
	cmd.Flags().StringVar(&o.Addr, "addr", "127.0.0.1:4222", "host:port to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&o.Dir, "dir", ".kitmesh/broker", "directory of the store; created when missing")
	log = addLogging(cmd)
	return cmd
}
