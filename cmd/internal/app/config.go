package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/telemetry"
)

// Config is everything an instance is told from outside. Each field is a flag
// and an environment variable: --log-level and KITMESH_LOG_LEVEL; the flag wins.
type Config struct {
	Service   string // fixed by the binary
	ID        string
	Version   string
	Zone      string
	RPC       string
	Admin     string
	Advertise string
	Consul    string
	Broker    string
	Zipkin    string
	Provider  string
	Sample    float64
	LogLevel  string
	LogFormat string
	Work      time.Duration
	Workers   int
	RateLimit float64
	TTL       time.Duration
	Stack     string // StackMesh or StackStock
	Balance   string // a target.Policy, of all targets

	AdvertiseRPC   string // instead of Advertise and the port of RPC
	Source         string // IP to call other instances from
	Experiments    bool   // obey the header that asks for a fault of one request
	Faults         string // JSON, as POST /faults takes it
	MaxConcurrency concurrency
}

// parse reads args over the environment. Its errors fit one line.
func parse(service string, args []string, env func(string) string, usage io.Writer) (Config, error) {
	c := Config{Service: service}
	fs := flag.NewFlagSet(service, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.ID, "id", "", "instance `id`, unique in the mesh (default "+service+"-HOSTNAME)")
	fs.StringVar(&c.Version, "version", "v1", "`version` of this instance, visible in Consul")
	fs.StringVar(&c.Zone, "zone", "local", "`zone` the instance runs in")
	fs.StringVar(&c.RPC, "rpc", "127.0.0.1:0", "`address` to serve on: gRPC, HTTP for the gateway")
	fs.StringVar(&c.Admin, "admin", "127.0.0.1:0", "`address` for health, metrics, profiles and this service's REST API")
	fs.StringVar(&c.Advertise, "advertise", "auto", "`host` that others reach this instance at; auto takes the host of --rpc or the first address of the machine")
	fs.StringVar(&c.AdvertiseRPC, "advertise-rpc", "", "`address` that others reach --rpc at, where a proxy stands before it")
	fs.StringVar(&c.Source, "source", "", "`IP` to call other instances from; empty leaves it to the system")
	fs.BoolVar(&c.Experiments, "experiments", false, "obey X-Kitmesh-Fault, the header that asks for a fault of one request")
	fs.StringVar(&c.Faults, "faults", "", "`JSON` of the faults to inject from the start, as POST /faults takes it")
	fs.StringVar(&c.Consul, "consul", "http://127.0.0.1:8500", "Consul `URL`")
	fs.StringVar(&c.Broker, "broker", "nats://127.0.0.1:4222", "NATS JetStream `URL`")
	fs.StringVar(&c.Zipkin, "zipkin", "", "Zipkin `URL`; empty reports nothing")
	fs.StringVar(&c.Provider, "provider", "http://127.0.0.1:9090", "payment provider's `URL`, for payments")
	fs.Float64Var(&c.Sample, "sample", 1, "`share` of new traces to record, 0 to 1")
	fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&c.LogFormat, "log-format", "logfmt", "logfmt or json")
	fs.DurationVar(&c.Work, "work", 0, "simulated service `time` of each request")
	fs.IntVar(&c.Workers, "workers", 0, "`number` of requests worked on at once with --work; 0 is no bound")
	fs.Float64Var(&c.RateLimit, "rate-limit", 0, "requests per `second` this instance accepts, all methods together; 0 is no limit")
	fs.Var(&c.MaxConcurrency, "max-concurrency", "`requests` worked on at once, all methods together; auto finds it with --work and is 512 without, 0 is no bound; orders come before pages before background work (default auto)")
	fs.DurationVar(&c.TTL, "ttl", 800*time.Millisecond, "`time` without a heartbeat after which Consul calls the instance dead")
	fs.StringVar(&c.Stack, "stack", StackMesh, "`rings` and discovery: mesh, or stock for those of go-kit's examples, to compare")
	fs.StringVar(&c.Balance, "balance", string(target.PeakEWMA), "`policy` by which an instance is chosen for a call: "+policies())
	if err := fromEnvironment(fs, env); err != nil {
		return c, err
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(usage, "%s is one service of kitmesh. Every flag is also an environment variable: --log-level, KITMESH_LOG_LEVEL.\n\n", service)
			fs.SetOutput(usage)
			fs.PrintDefaults()
		}
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("%s takes flags only, not %q", service, fs.Arg(0))
	}
	return c, c.validate()
}

// fromEnvironment sets each flag from its KITMESH_ variable where there is one.
func fromEnvironment(fs *flag.FlagSet, env func(string) string) (err error) {
	fs.VisitAll(func(f *flag.Flag) {
		name := "KITMESH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env(name); v != "" && err == nil {
			if e := fs.Set(f.Name, v); e != nil {
				err = fmt.Errorf("%s=%q: %w", name, v, e)
			}
		}
	})
	return err
}

func (c *Config) validate() error {
	if c.ID == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--id is empty and the machine has no name: %w", err)
		}
		c.ID = c.Service + "-" + host
	}
	for _, a := range []struct{ flag, addr string }{{"rpc", c.RPC}, {"admin", c.Admin}} {
		_, port, err := net.SplitHostPort(a.addr)
		if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
			return fmt.Errorf("--%s %q is not HOST:PORT", a.flag, a.addr)
		}
	}
	if c.AdvertiseRPC != "" {
		if _, _, err := net.SplitHostPort(c.AdvertiseRPC); err != nil {
			return fmt.Errorf("--advertise-rpc %q is not HOST:PORT", c.AdvertiseRPC)
		}
	}
	if c.Source != "" && net.ParseIP(c.Source) == nil {
		return fmt.Errorf("--source %q is not an IP address", c.Source)
	}
	for _, u := range []struct{ flag, text string }{{"consul", c.Consul}, {"broker", c.Broker}, {"provider", c.Provider}, {"zipkin", c.Zipkin}} {
		parsed, err := url.Parse(u.text)
		if (u.flag != "zipkin" || u.text != "") && (err != nil || parsed.Scheme == "" || parsed.Host == "") {
			return fmt.Errorf("--%s %q is not a URL such as http://host:port", u.flag, u.text)
		}
	}
	if _, err := telemetry.NewLogger(io.Discard, c.LogLevel, c.LogFormat); err != nil {
		return err
	}
	switch {
	case !(c.Sample >= 0 && c.Sample <= 1): // NaN is neither
		return fmt.Errorf("--sample %v is outside 0 to 1", c.Sample)
	case c.Work < 0:
		return fmt.Errorf("--work %v is negative", c.Work)
	case c.Workers < 0:
		return fmt.Errorf("--workers %d is negative", c.Workers)
	case !(c.RateLimit >= 0 && c.RateLimit <= math.MaxInt32):
		return fmt.Errorf("--rate-limit %v is not a number of requests from 0 up", c.RateLimit)
	case c.Stack != StackMesh && c.Stack != StackStock:
		return fmt.Errorf("--stack is %s or %s, not %q", StackMesh, StackStock, c.Stack)
	case !slices.Contains(balances, target.Policy(c.Balance)):
		return fmt.Errorf("--balance is %s, not %q", policies(), c.Balance)
	case c.TTL < 100*time.Millisecond:
		return fmt.Errorf("--ttl %v is under 100ms: a busy machine would be called dead", c.TTL)
	}
	return nil
}

// balances are the policies that need to know nothing about a method.
var balances = []target.Policy{target.PeakEWMA, target.LeastRequest, target.RoundRobin}

func policies() string {
	return fmt.Sprintf("%s, %s or %s", balances[0], balances[1], balances[2])
}

// advertised is the host:port that others use for a listener on addr.
func advertised(advertise, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if advertise != "auto" {
		return net.JoinHostPort(advertise, port), nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return net.JoinHostPort(host, port), nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find an address to advertise: %w; set --advertise", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return net.JoinHostPort(n.IP.String(), port), nil
		}
	}
	return "", errors.New("this machine has no address but loopback; set --advertise")
}
