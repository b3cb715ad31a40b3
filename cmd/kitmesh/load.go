package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kitmesh/kitmesh/infra/load"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const composeShop = "http://127.0.0.1:8080" // what docker-compose.yml publishes

const loadLong = `load sends customers to the shop: an open-loop generator, so a slow shop gets no
fewer requests, and every latency counts from the moment its request was due.

browse is a product page, sometimes a listing; checkout is an order with a fresh
Idempotency-Key. Sold out (conflict) and declined are business outcomes, not failures;
so is key_reused for a probe, who uses a key again with another body and must be refused.
--duration 0 goes on until SIGINT or SIGTERM and prints the result then.

Exit code: 0 it ran, 1 success is below --min-success or --verify-orders found an order
missing, changed or taken twice, 2 the command line is wrong.`

const loadExample = `  kitmesh load --rate 200 --duration 30s
  kitmesh load --rate 50 --duration 1m --mix browse=50,checkout=50 --verify-orders --min-success 1 -o json`

// loadFlags are the flags that need more than a field of load.Options.
type loadFlags struct {
	options    load.Options
	mix        string
	arrivals   string
	history    string
	minSuccess float64
}

func newLoadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use: "load", Short: "Send customers to the shop and measure what they see",
		Long: loadLong, Example: loadExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLoad(cmd, f) },
	}
	o, flags := &f.options, cmd.Flags()
	flags.StringVar(&o.URL, "url", "", "the shop's URL (default: the edge of --name or --target)")
	flags.Float64Var(&o.Rate, "rate", 100, "requests per second")
	flags.DurationVar(&o.Duration, "duration", 30*time.Second, "how long; 0: until stopped")
	flags.DurationVar(&o.Warmup, "warmup", 0, "load that is sent before, but not counted")
	flags.DurationVar(&o.Wait, "wait", 30*time.Second, "how long to wait for the shop's first answer; 0, and the default with --duration 0: until stopped")
	flags.StringVar(&f.mix, "mix", "browse=80,checkout=20", "what customers do, by weight")
	flags.StringVar(&f.arrivals, "arrivals", string(load.Uniform), "uniform or poisson")
	flags.Uint64Var(&o.Seed, "seed", 0, "makes customers do the same again; 0: choose one and print it")
	flags.IntVar(&o.MaxInFlight, "max-in-flight", 2000, "requests at the same time; a request that finds no place is late")
	flags.DurationVar(&o.BrowseDeadline, "browse-deadline", time.Second, "how long a browsing customer waits")
	flags.DurationVar(&o.CheckoutDeadline, "checkout-deadline", 3*time.Second, "how long a buying customer waits")
	flags.StringSliceVar(&o.Only, "only", nil, "look at and order only these products (SKU,SKU): they are fought over")
	flags.BoolVar(&o.IncludeLimited, "limited", false, "order limited and sold out products too")
	flags.BoolVar(&o.VerifyOrders, "verify-orders", false, "read every acknowledged order back after the run")
	flags.StringVar(&f.history, "history", "", "write one JSON line per request to this `file`, for kitmesh audit; auto: a new one in the mesh's folder")
	flags.Float64Var(&o.Probes, "probes", 0, "share of customers who use a key again or read an order (default 0.1 with --history)")
	flags.Float64Var(&f.minSuccess, "min-success", 0, "fail when the share of successes (0 to 1) is below")
	addOutput(cmd)
	return cmd
}

func runLoad(cmd *cobra.Command, f loadFlags) error {
	o := f.options
	var err error
	if o.Mix, err = load.ParseMix(f.mix); err != nil {
		return usageErrorf("--mix: %w", err)
	}
	if err := checkLoadFlags(cmd, f); err != nil {
		return err
	}
	if o.Duration == 0 && !cmd.Flags().Changed("wait") {
		o.Wait = 0
	}
	if f.history != "" && !cmd.Flags().Changed("probes") {
		o.Probes = defaultProbes
	}
	o.Arrivals = load.Arrivals(f.arrivals)
	if o.URL == "" {
		if o.URL, err = shopURL(cmd); err != nil {
			return err
		}
	}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	if f.history != "" {
		file, err := createHistory(cmd, f.history)
		if err != nil {
			return usageErrorf("--history: %w", err)
		}
		defer file.Close()
		o.History = file
	}
	clear := showTicks(cmd.ErrOrStderr(), &o)
	result, err := load.Run(cmd.Context(), o)
	clear()
	if err != nil {
		return err
	}
	if err := printLoad(cmd, result); err != nil {
		return err
	}
	return judgeLoad(result, f.minSuccess)
}

// defaultProbes is a share that finds a broken promise within seconds and
// changes the load little.
const defaultProbes = 0.1

// createHistory opens the file to write, which auto finds a name for: that of
// the moment, so that no history replaces another.
func createHistory(cmd *cobra.Command, name string) (*os.File, error) {
	if name == "auto" {
		dir, err := historyDir(cmd)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		return os.CreateTemp(dir, time.Now().UTC().Format("20060102T150405Z")+"-*.jsonl")
	}
	return os.Create(name)
}

// checkLoadFlags refuses what load.Options would read as "use the default".
func checkLoadFlags(cmd *cobra.Command, f loadFlags) error {
	o := f.options
	switch {
	case !(f.minSuccess >= 0 && f.minSuccess <= 1):
		return usageErrorf("--min-success is a share from 0 to 1, not %g", f.minSuccess)
	case o.Rate == 0:
		return usageErrorf("--rate must be above 0")
	case o.MaxInFlight == 0:
		return usageErrorf("--max-in-flight must be above 0")
	case o.BrowseDeadline == 0 || o.CheckoutDeadline == 0:
		return usageErrorf("a deadline must be above 0")
	case o.VerifyOrders && o.Duration == 0:
		return usageErrorf("--verify-orders needs a --duration: it remembers every order")
	case f.arrivals == "":
		return usageErrorf("--arrivals is uniform or poisson")
	case cmd.Flags().Changed("url") && o.URL == "":
		return usageErrorf("--url must not be empty")
	}
	return nil
}

func judgeLoad(r load.Result, minSuccess float64) error {
	switch {
	case r.Verification != nil && !r.Verification.Held():
		return errors.New(r.Verification.String())
	case minSuccess > 0 && r.Requests == 0:
		return errors.New("no request was sent, so --min-success is not shown")
	case r.Success < minSuccess:
		return fmt.Errorf("success %.5f is below --min-success %g", r.Success, minSuccess)
	}
	return nil
}

func printLoad(cmd *cobra.Command, r load.Result) error {
	if !wantJSON(cmd) {
		return r.WriteText(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// showTicks keeps one live line on w when it is a terminal, and returns what
// removes it.
func showTicks(w io.Writer, o *load.Options) func() {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return func() {}
	}
	const home = "\r\033[K"
	o.Tick = func(t load.Tick) {
		line := []rune(t.String())
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 1 && len(line) >= width {
			line = line[:width-1]
		}
		fmt.Fprint(file, home, string(line))
	}
	return func() { fmt.Fprint(file, home) }
}

// shopURL returns the front door of the mesh that --name and --target choose.
func shopURL(cmd *cobra.Command) (string, error) {
	if meshTarget(cmd) == "compose" {
		return composeShop, nil
	}
	home := os.Getenv("KITMESH_HOME")
	if home == "" {
		home = ".kitmesh"
	}
	name := meshName(cmd)
	data, err := os.ReadFile(filepath.Join(home, name, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no mesh called %s is up here: run kitmesh up, or give --url", name)
	}
	if err != nil {
		return "", fmt.Errorf("read the mesh's state: %w", err)
	}
	var state runner.State
	if err := json.Unmarshal(data, &state); err != nil {
		return "", fmt.Errorf("the state of mesh %s is damaged: run kitmesh down, then kitmesh up: %w", name, err)
	}
	if state.Gateway == "" {
		return "", fmt.Errorf("mesh %s has no front door yet: wait for kitmesh up", name)
	}
	return state.Gateway, nil
}
