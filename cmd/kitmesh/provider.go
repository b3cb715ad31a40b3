package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/provider"
)

// newProviderCommand runs the simulated card provider until the process is told
// to end.
func newProviderCommand() *cobra.Command {
	var o provider.Options
	var log *logging
	cmd := &cobra.Command{
		Use:   "provider",
		Short: "Run the simulated card provider in the foreground",
		Long: `Run the simulated card provider in the foreground.

It writes every effect to its own ledger (JSON lines), synced before it answers;
GET /ledger shows it. Rates make it misbehave: 0 never, 1 always.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			var err error
			if o.Logger, err = log.logger(cmd); err != nil {
				return err
			}
			return provider.Serve(cmd.Context(), o, func(url string) {
				fmt.Fprintf(cmd.OutOrStdout(), "provider ready on %s, ledger %s\n", url, o.Ledger)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:9090", "host:port to listen on; port 0 takes a free one")
	f.StringVar(&o.Ledger, "ledger", ".kitmesh/provider/ledger.jsonl", "the ledger's file; created when missing")
	f.DurationVar(&o.Latency, "latency", 20*time.Millisecond, "time an operation takes")
	f.Float64Var(&o.DeclineRate, "decline-rate", 0, "part of the authorisations declined, the same key always the same way")
	f.Float64Var(&o.ErrorRate, "error-rate", 0, "part of the operations answered with an error and not done")
	f.Float64Var(&o.ErrorAfterRate, "error-after-rate", 0, "part of the operations done and answered with an error")
	f.Float64Var(&o.LoseReplyRate, "lose-reply-rate", 0, "part of the operations done and never answered")
	log = addLogging(cmd)
	return cmd
}
