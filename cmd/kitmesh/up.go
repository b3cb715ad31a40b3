package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/cmd/internal/app"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const upLong = `Start Consul, the broker, Zipkin, the payment provider, the seven services, the edge
and a light load, and supervise them: what dies comes back.

It prints the URLs when a customer could come, and stays in front until Ctrl-C, which
ends everything (a second Ctrl-C does so at once). With --detach it returns then, and
kitmesh down ends the mesh. If the mesh is up already, it prints the URLs and returns.

Consul: "auto" takes a consul of 1.15 or later on PATH, else the one beside kitmesh, else
builds the pinned one there once, which needs Go. It is a dev server: a restart is empty.
Zipkin: "auto" runs the real server when Java 17 or later and Maven are here (the jar is
fetched once), else the embedded collector; it says which.`

func newUpCommand() *cobra.Command {
	opts := runner.UpOptions{}
	var isolated, detach bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the mesh",
		Long:  upLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if meshTarget(cmd) == "compose" {
				return usageErrorf("containers are started with docker compose up, not with kitmesh up")
			}
			opts.Name = meshName(cmd)
			if err := checkUp(opts); err != nil {
				return err
			}
			if isolated {
				isolate(cmd, &opts)
			}
			return up(cmd, opts, detach)
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.Instances, "instances", 3, "instances of each service, 1 to 50")
	f.BoolVar(&isolated, "isolated", false, "free ports for everything, so that meshes of different names live side by side")
	f.BoolVar(&detach, "detach", false, "return when the mesh is up and leave it running")
	f.StringVar(&opts.Stack, "stack", app.StackMesh, "mesh, or stock: the same shop with go-kit's own rings, to compare")
	f.DurationVar(&opts.Work, "work", 0, "simulated service time of each request, so that capacity is known; 0 is none")
	f.IntVar(&opts.Workers, "workers", 0, "requests an instance works on at once with --work; 0 is no bound")
	f.Float64Var(&opts.Rate, "rate", 20, "requests per second of the light load; 0 is none")
	f.Float64Var(&opts.Sample, "sample", 1, "share of the requests that are traced, 0 to 1")
	f.Float64Var(&opts.SampleLimit, "sample-limit", 25, "requests traced per second at most; 0 is no limit")
	f.StringVar(&opts.Consul, "consul", "auto", "Consul: auto, the path of a program, or the URL of a running one")
	f.StringVar(&opts.Zipkin, "zipkin", "auto", "Zipkin: auto, embedded, or the URL of a running one")
	f.StringToStringVar(&opts.Provider, "provider", nil, "how the payment provider misbehaves, such as decline-rate=0.1,lose-reply-rate=0.05; kitmesh provider -h lists all")
	f.BoolVar(&opts.Proxies, "proxies", false, "a proxy in every line, so that experiments can make it late, lossy or cut; costs some time per call")
	f.BoolVar(&opts.Experiments, "experiments", false, "instances obey X-Kitmesh-Fault, the header that asks for a fault of one request")
	f.IntVar(&opts.EdgePort, "edge-port", 8080, "port of the shop's front door; 0 is a free one")
	f.IntVar(&opts.ConsulPort, "consul-port", 8500, "port of Consul's API and UI; 0 is a free one")
	f.IntVar(&opts.ZipkinPort, "zipkin-port", 9411, "port of Zipkin's API and UI; 0 is a free one")
	f.IntVar(&opts.BrokerPort, "broker-port", 4222, "port of the broker; 0 is a free one")
	f.DurationVar(&opts.Timeout, "timeout", time.Minute, "how long the mesh may take to answer")
	addOutput(cmd)
	return cmd
}

// portFlags are the flags that --isolated replaces by free ports.
func portFlags(opts *runner.UpOptions) map[string]*int {
	return map[string]*int{
		"edge-port": &opts.EdgePort, "consul-port": &opts.ConsulPort,
		"zipkin-port": &opts.ZipkinPort, "broker-port": &opts.BrokerPort,
	}
}

// isolate frees every port the user did not ask for by name.
func isolate(cmd *cobra.Command, opts *runner.UpOptions) {
	for name, port := range portFlags(opts) {
		if !cmd.Flags().Changed(name) {
			*port = 0
		}
	}
}

func checkUp(opts runner.UpOptions) error {
	switch {
	case opts.Instances < 1 || opts.Instances > 50:
		return usageErrorf("--instances is 1 to 50, not %d", opts.Instances)
	case !(opts.Rate >= 0 && opts.Rate <= 100_000): // NaN is neither
		return usageErrorf("--rate is 0 to 100000, not %g", opts.Rate)
	case !(opts.Sample >= 0 && opts.Sample <= 1):
		return usageErrorf("--sample is 0 to 1, not %g", opts.Sample)
	case !(opts.SampleLimit >= 0):
		return usageErrorf("--sample-limit is 0 or more, not %g", opts.SampleLimit)
	case opts.Stack != app.StackMesh && opts.Stack != app.StackStock:
		return usageErrorf("--stack is %s or %s, not %q", app.StackMesh, app.StackStock, opts.Stack)
	case opts.Work < 0 || opts.Work > time.Minute:
		return usageErrorf("--work is 0 to 1m, not %s", opts.Work)
	case opts.Workers < 0 || opts.Workers > 0 && opts.Work == 0:
		return usageErrorf("--workers is 0 or more and goes with --work, not %d", opts.Workers)
	case opts.Timeout <= 0:
		return usageErrorf("--timeout is a positive duration, not %s", opts.Timeout)
	case opts.Zipkin != "auto" && opts.Zipkin != "embedded" && !runner.IsURL(opts.Zipkin):
		return usageErrorf("--zipkin is auto, embedded or a URL, not %q", opts.Zipkin)
	case opts.Consul != "auto" && !runner.IsURL(opts.Consul) && !runner.Executable(opts.Consul):
		return usageErrorf("--consul is auto, the path of a program or a URL, not %q", opts.Consul)
	}
	if err := checkProvider(opts.Provider); err != nil {
		return err
	}
	for name, port := range portFlags(&opts) {
		if *port < 0 || *port > 65535 {
			return usageErrorf("--%s is 0 to 65535, not %d", name, *port)
		}
	}
	return nil
}

// checkProvider refuses what the provider's own command would.
func checkProvider(flags map[string]string) error {
	cmd := newProviderCommand()
	for name, value := range flags {
		if flag := cmd.Flags().Lookup(name); flag == nil || name != "latency" && !strings.HasSuffix(name, "-rate") {
			return usageErrorf("--provider: there is no %q; use latency, decline-rate, error-rate, error-after-rate or lose-reply-rate", name)
		}
		if err := cmd.Flags().Set(name, value); err != nil {
			return usageErrorf("--provider: %w", err)
		}
	}
	return nil
}

// up runs the mesh in this process, or in one of its own that stays.
func up(cmd *cobra.Command, opts runner.UpOptions, detach bool) error {
	out := newNarrator(cmd.ErrOrStderr())
	opts.Out = out
	_, supervising := os.LookupEnv(runner.DetachedEnv)
	if detach && !supervising {
		state, err := runner.Detach(cmd.Context(), opts.Name, os.Args[1:], out)
		if err != nil {
			return err
		}
		return printURLs(cmd, state)
	}
	var printed error
	if !supervising {
		opts.OnReady = func(state runner.State) {
			if printed = printURLs(cmd, state); !wantJSON(cmd) {
				out.Line("Ctrl-C ends it")
			}
		}
	}
	err := runner.Up(cmd.Context(), opts, secondSignal())
	if already, ok := errors.AsType[*runner.AlreadyUp](err); ok {
		out.Line(already.Error())
		if supervising {
			return nil
		}
		return printURLs(cmd, already.State)
	}
	return errors.Join(err, printed)
}

// secondSignal is closed by the second Ctrl-C; the first one ends the context.
func secondSignal() <-chan struct{} {
	// A reader of our output that leaves (kitmesh up | head) must not end us
	// without our children: caught, SIGPIPE becomes an error of the write.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	second := make(chan struct{})
	go func() {
		<-signals
		<-signals
		close(second)
	}()
	return second
}

func printURLs(cmd *cobra.Command, state runner.State) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), state)
	}
	return writeURLs(cmd.OutOrStdout(), state)
}

// writeURLs lists everything a browser or curl can open.
func writeURLs(w io.Writer, state runner.State) error {
	for _, u := range urls(state) {
		if _, err := fmt.Fprintf(w, "  %-10s %s\n", u.Name, u.URL); err != nil {
			return err
		}
	}
	return nil
}

// namedURL is one line of kitmesh open.
type namedURL struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// urls lists what is there, the shop first.
func urls(state runner.State) []namedURL {
	var list []namedURL
	add := func(name, base, path string) {
		if base != "" {
			list = append(list, namedURL{name, base + path})
		}
	}
	add("shop", state.Gateway, "/v1/products")
	add("API docs", state.Gateway, "/docs")
	add("Consul", state.Consul, "/ui/")
	add("Zipkin", state.Zipkin, "/zipkin/")
	add("broker", state.Broker, "")
	add("provider", state.Provider, "")
	add("proxy", state.Proxy, "/proxies")
	return list
}
