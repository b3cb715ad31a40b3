package runner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// UpOptions say what to start. The zero value of a port is a free one.
type UpOptions struct {
	Name        string
	Instances   int               // of each service
	Rate        float64           // of the light load, requests per second; 0: none
	Sample      float64           // share of requests traced, 0 to 1
	SampleLimit float64           // traces per second at most; 0: no limit
	Stack       string            // "mesh", or "stock" for go-kit's own rings; "" is mesh
	Work        time.Duration     // simulated service time of each request; 0: none
	Workers     int               // requests an instance works on at once with Work; 0: no bound
	Consul      string            // auto, a program's path, or a URL
	Zipkin      string            // auto, embedded, or a URL
	Provider    map[string]string // flags of kitmesh provider, by which it misbehaves
	Proxies     bool              // a proxy stands in every line, so that experiments can cut it
	Experiments bool              // instances obey the header that asks for a fault of one request
	EdgePort    int
	ConsulPort  int
	ZipkinPort  int
	BrokerPort  int
	Timeout     time.Duration // for everything to be ready; 0: 60 s

	Out     Output      // what is said on the way
	OnReady func(State) // called once, when everything answers
}

// Output is where long work says what it does.
type Output interface {
	Line(text string)     // stays
	Progress(text string) // replaced by the next
}

// plan is everything up decided before it starts the first process.
type plan struct {
	opts   UpOptions
	dirs   dirs
	bin    string // folder of the programs
	keep   string // folder of fetched tools
	ports  *ports
	consul consulChoice
	tools  zipkinTools
	zipkin zipkinMode
	state  State
	lines  *lines // nil without Proxies
	port   struct{ edge, edgeAdmin, consul, zipkin, broker, provider int }
}

// newPlan decides, and fails on whatever a user must change first. It may take
// long once: when Consul has to be built.
func newPlan(ctx context.Context, d dirs, opts UpOptions) (*plan, error) {
	p := &plan{opts: opts, dirs: d, ports: &ports{}}
	var err error
	if p.bin, err = binDir(); err != nil {
		return nil, err
	}
	if err := binaries(p.bin); err != nil {
		return nil, err
	}
	if p.keep, err = keepDir(p.bin); err != nil {
		return nil, err
	}
	var why string
	p.zipkin, p.tools, why = chooseZipkin(ctx, opts.Zipkin, d.mark(), p.keep)
	opts.Out.Line(why)
	if err := p.choosePorts(); err != nil {
		return nil, err
	}
	if p.consul, err = chooseConsul(ctx, opts.Consul, p.bin, d.mark(), opts.Out); err != nil {
		return nil, err
	}
	p.state = State{
		Name:     opts.Name,
		Stack:    cmp.Or(opts.Stack, "mesh"),
		Work:     opts.Work.String(),
		Workers:  opts.Workers,
		Gateway:  baseURL(p.port.edge),
		Consul:   p.consul.url,
		Broker:   "nats://" + address(p.port.broker),
		Provider: baseURL(p.port.provider),
	}
	if p.consul.url == "" {
		p.state.Consul = baseURL(p.port.consul)
	}
	p.state.Zipkin = baseURL(p.port.zipkin)
	if p.zipkin == zipkinElsewhere {
		p.state.Zipkin = strings.TrimRight(opts.Zipkin, "/")
	}
	if opts.Proxies {
		if p.lines, err = newLines(d, p.ports); err != nil {
			return nil, err
		}
		p.state.Proxy = p.lines.client.URL
	}
	return p, nil
}

// choosePorts takes the ports users know by heart, or complains.
func (p *plan) choosePorts() error {
	wanted := []struct {
		use        bool
		port       int
		what, flag string
		to         *int
	}{
		{true, p.opts.EdgePort, "the shop's front door", "--edge-port", &p.port.edge},
		{!IsURL(p.opts.Consul), p.opts.ConsulPort, "Consul", "--consul-port", &p.port.consul},
		{p.zipkin != zipkinElsewhere, p.opts.ZipkinPort, "Zipkin", "--zipkin-port", &p.port.zipkin},
		{true, p.opts.BrokerPort, "the broker", "--broker-port", &p.port.broker},
		{true, 0, "the payment provider", "", &p.port.provider},
		{true, 0, "the front door's admin pages", "", &p.port.edgeAdmin},
	}
	for _, w := range wanted {
		if !w.use {
			continue
		}
		port, err := p.ports.fixed(w.port, w.what, w.flag)
		if err != nil {
			return err
		}
		*w.to = port
	}
	return nil
}

// kitmesh plans one part that is a subcommand of this very program.
func (p *plan) kitmesh(name string, args ...string) spec {
	return spec{name: name, path: filepath.Join(p.bin, "kitmesh"), args: append([]string{name}, args...)}
}

func (p *plan) broker() spec {
	return p.kitmesh("broker", "--addr", address(p.port.broker), "--dir", p.dirs.data("broker"))
}

func (p *plan) provider() spec {
	args := []string{"--addr", address(p.port.provider), "--ledger", filepath.Join(p.dirs.data("provider"), "ledger.jsonl")}
	for _, flag := range slices.Sorted(maps.Keys(p.opts.Provider)) {
		args = append(args, "--"+flag, p.opts.Provider[flag])
	}
	return p.kitmesh("provider", args...)
}

func (p *plan) embeddedZipkin() spec {
	return p.kitmesh("zipkin", "--addr", address(p.port.zipkin))
}

func (p *plan) proxy() spec {
	return p.kitmesh("proxy", "--addr", p.lines.addr, "--lines", p.lines.file)
}

func (p *plan) edge() (spec, error) {
	to, err := p.lines.through("edge", p.parts())
	s := p.kitmesh("edge", "--stack", p.state.Stack, "--addr", address(p.port.edge), "--admin", address(p.port.edgeAdmin),
		"--consul", to.Consul, "--zipkin", to.Zipkin,
		"--sample", decimal(p.opts.Sample), "--sample-limit", decimal(p.opts.SampleLimit))
	s.admin = baseURL(p.port.edgeAdmin)
	return s, err
}

// parts are where everybody finds what is not an instance.
func (p *plan) parts() parts {
	return parts{Consul: p.state.Consul, Broker: p.state.Broker, Zipkin: p.state.Zipkin, Provider: p.state.Provider}
}

func (p *plan) load() spec {
	return p.kitmesh("load", "--url", p.state.Gateway, "--duration", "0",
		"--rate", decimal(p.opts.Rate))
}

// instance plans one instance of a service on ports of its own.
func (p *plan) instance(service string, n int) (spec, error) {
	s := p.member(service, instanceID(service, n))
	return s, p.instancePorts(&s)
}

// extra plans one that Scale does not count.
func (p *plan) extra(service, name, version, faults string) (spec, error) {
	s := p.member(service, name)
	s.version, s.faults, s.extra = version, faults, true
	return s, p.instancePorts(&s)
}

func (p *plan) member(service, id string) spec {
	return spec{
		name: id, service: service, path: filepath.Join(p.bin, service), version: "v1", zone: "local", env: goShare(),
		before: func(ctx context.Context) {
			// Nobody is sent to the dead one until its successor registers. Errors
			// are Consul's to repair: the entry's own check takes it out too.
			if client, err := consul.Client(p.state.Consul, ""); err == nil {
				_ = registry.Forget(ctx, client, id)
			}
		},
		renew: p.instancePorts,
	}
}

// instancePorts gives an instance new ports and the arguments that name them.
func (p *plan) instancePorts(s *spec) error {
	rpc, err := p.ports.free()
	if err != nil {
		return fmt.Errorf("plan %s: %w", s.name, err)
	}
	admin, err := p.ports.free()
	if err != nil {
		return fmt.Errorf("plan %s: %w", s.name, err)
	}
	s.rpc, s.admin = address(rpc), baseURL(admin)
	s.args = []string{
		"--id", s.name, "--version", s.version, "--zone", s.zone,
		"--rpc", s.rpc, "--admin", address(admin),
		"--sample", decimal(p.opts.Sample), "--stack", p.state.Stack,
		"--work", p.opts.Work.String(), "--workers", strconv.Itoa(p.opts.Workers),
	}
	if p.opts.Experiments {
		s.args = append(s.args, "--experiments")
	}
	if s.faults != "" {
		s.args = append(s.args, "--faults", s.faults)
	}
	to, err := p.lines.through(s.name, p.parts())
	if err != nil {
		return fmt.Errorf("plan %s: %w", s.name, err)
	}
	if p.lines != nil {
		if s.rpc, err = p.lines.add(s.name, "rpc", s.rpc); err != nil {
			return fmt.Errorf("plan %s: %w", s.name, err)
		}
		s.args = append(s.args, "--advertise-rpc", s.rpc)
		if p.state.Stack == "mesh" { // go-kit's own rings dial as they like
			s.source = p.lines.source(s.name)
			s.args = append(s.args, "--source", s.source)
		}
	}
	s.args = append(s.args, "--consul", to.Consul, "--broker", to.Broker, "--zipkin", to.Zipkin)
	if s.service == "payments" {
		s.args = append(s.args, "--provider", to.Provider)
	}
	return p.lines.publish()
}

// goShare leaves an instance a quarter of the processors, unless the user chose:
// two dozen Go schedulers that each look for work on all of them cost a fifth of
// two processors, and double the shop's p99.
func goShare() []string {
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	return []string{"GOMAXPROCS=" + strconv.Itoa(max(1, runtime.NumCPU()/4))}
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
