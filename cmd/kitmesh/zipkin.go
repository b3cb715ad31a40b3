package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/zipkin"
)

// newZipkinCommand runs the embedded Zipkin until the process is told to end.
func newZipkinCommand() *cobra.Command {
	var o zipkin.Options
	var log *logging
	cmd := &cobra.Command{
		Use:   "zipkin",
		Short: "Run the embedded Zipkin in the foreground",
		Long: `Collect spans and answer queries over Zipkin's v2 HTTP API, and serve a page to browse
traces at /zipkin/, in one process without Java. Any Zipkin client may report to it.

Traces are kept in memory. Past --max-spans or --max-bytes the trace that came first goes.
With --api only the page is served, on top of another Zipkin's API.
It prints one line when it takes connections, and ends in good order on SIGTERM or Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Limits.Spans < 1 || o.Limits.Bytes < 1 {
				return usageErrorf("--max-spans and --max-bytes are at least 1")
			}
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			// Stored spans are most of the heap: collect garbage earlier rather
			// than let it double that.
			debug.SetMemoryLimit(o.Limits.Bytes + o.Limits.Bytes/4 + 48<<20)
			var err error
			if o.Logger, err = log.logger(cmd); err != nil {
				return err
			}
			return zipkin.Serve(cmd.Context(), o, func(url string) {
				fmt.Fprintf(cmd.OutOrStdout(), "zipkin ready on %s, traces at %s/zipkin/\n", url, url)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:9411", "host:port to listen on; port 0 takes a free one")
	f.IntVar(&o.Limits.Spans, "max-spans", zipkin.DefaultSpans, "how many spans to keep")
	f.Int64Var(&o.Limits.Bytes, "max-bytes", zipkin.DefaultBytes, "how much memory the spans may take")
	f.StringSliceVar(&o.Autocomplete, "autocomplete-keys", nil, "tags whose values the API lists, comma-separated")
	f.StringVar(&o.API, "api", "", "URL of another Zipkin: serve only the page, on top of its API")
	log = addLogging(cmd)
	return cmd
}
