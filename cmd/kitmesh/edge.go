package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/cmd/internal/stock"
	"github.com/kitmesh/kitmesh/infra/edge"
	"github.com/kitmesh/kitmesh/infra/mesh/consul"
)

const edgeLong = `edge is the shop's front door: a reverse proxy in front of the gateway's instances, which
it finds in Consul and balances and retries over as the mesh's own clients do. Reads, and
orders with an Idempotency-Key, are repeated on another instance when one dies. With
--stack stock it is a plain reverse proxy instead, round robin and without retries.

Every flag is also an environment variable: --log-level, KITMESH_LOG_LEVEL. It runs until
SIGINT or SIGTERM and lets the requests under way end, within 10 s.`

func newEdgeCommand() *cobra.Command {
	var o edge.Options
	var stack string
	var log *logging
	cmd := &cobra.Command{
		Use: "edge", Short: "Run the front door: a reverse proxy over the gateway's instances",
		Long: edgeLong, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagsFromEnvironment(cmd.LocalNonPersistentFlags(), os.Getenv); err != nil {
				return err
			}
			return runEdge(cmd, o, stack, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:8080", "HOST:PORT of the front door")
	flags.StringVar(&o.Admin, "admin", "127.0.0.1:0", "HOST:PORT of health, metrics, profiles and /mesh")
	flags.StringVar(&o.Service, "service", "gateway", "the service behind it")
	flags.StringVar(&o.Consul, "consul", "http://127.0.0.1:8500", "Consul's URL")
	flags.StringVar(&o.Zipkin, "zipkin", "", "Zipkin's URL; empty: no spans are reported")
	flags.Float64Var(&o.Sample, "sample", 1, "share of new traces to record, 0 to 1")
	flags.Float64Var(&o.SampleLimit, "sample-limit", 25, "new traces to record per second at most; 0 is no limit")
	flags.StringVar(&stack, "stack", app.StackMesh, "mesh, or stock: a plain reverse proxy, round robin, without retries")
	log = addLogging(cmd)
	return cmd
}

func runEdge(cmd *cobra.Command, o edge.Options, stack string, log *logging) error {
	for flag, addr := range map[string]string{"addr": o.Addr, "admin": o.Admin} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return usageErrorf("--%s %q is not HOST:PORT", flag, addr)
		}
	}
	if !(o.SampleLimit >= 0) {
		return usageErrorf("--sample-limit is 0 or more, not %g", o.SampleLimit)
	}
	if !(o.Sample >= 0 && o.Sample <= 1) {
		return usageErrorf("--sample is a share from 0 to 1, not %g", o.Sample)
	}
	if _, err := consul.Client(o.Consul, ""); err != nil {
		return usageErrorf("--consul: %w", err)
	}
	logger, err := log.logger(cmd)
	if err != nil {
		return err
	}
	o.Logger = logger.With("service", "edge")
	e, err := openDoor(stack, o)
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintf(cmd.OutOrStdout(), "edge on http://%s, admin on http://%s\n", e.Addr(), e.AdminAddr())
	return e.Run(cmd.Context())
}

// door is the edge, or what stands in for it.
type door interface {
	Addr() string
	AdminAddr() string
	Run(ctx context.Context) error
	Close()
}

func openDoor(stack string, o edge.Options) (door, error) {
	switch stack {
	case app.StackMesh:
		return edge.New(o)
	case app.StackStock:
		return stock.NewDoor(o)
	}
	return nil, usageErrorf("--stack is %s or %s, not %q", app.StackMesh, app.StackStock, stack)
}

// flagsFromEnvironment sets each flag that the command line does not give from
// its KITMESH_ variable, where there is one.
func flagsFromEnvironment(flags *pflag.FlagSet, env func(string) string) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "KITMESH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := env(name)
		if value == "" || f.Changed || f.Name == "help" || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = usageErrorf("%s=%q: %w", name, value, e)
		}
	})
	return err
}
