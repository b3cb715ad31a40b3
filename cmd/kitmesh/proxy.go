package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/proxy"
)

// newProxyCommand runs the TCP proxy until the process is told to end.
func newProxyCommand() *cobra.Command {
	var addr, lines string
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run the TCP proxy whose lines experiments slow down and cut, in the foreground",
		Long: `Run a TCP proxy in the foreground. Its API has the paths and the toxics of Toxiproxy:
latency, bandwidth, slow_close, timeout, reset_peer, slicer and limit_data.

kitmesh up --proxies starts one and puts it between the instances and everything they
talk to.`,
		Example: `  kitmesh proxy
  curl -d '{"name":"db","listen":"127.0.0.1:5433","upstream":"127.0.0.1:5432"}' 127.0.0.1:8474/proxies
  curl -d '{"type":"latency","attributes":{"latency":200}}' 127.0.0.1:8474/proxies/db/toxics`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.Serve(cmd.Context(), addr, lines, func(url string) {
				fmt.Fprintf(cmd.OutOrStdout(), "proxy ready, its API on %s\n", url)
			})
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8474", "host:port of the API; port 0 takes a free one")
	cmd.Flags().StringVar(&lines, "lines", "", "JSON file of the lines to begin with, as POST /populate takes them")
	return cmd
}
