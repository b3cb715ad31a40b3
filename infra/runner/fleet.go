// Package runner starts, supervises and steers a running mesh.
package runner

import (
	"context"
	"encoding/json"
	"io"
	"syscall"
	"time"
)

// State is what a running mesh consists of; `.kitmesh/<name>/state.json` locally.
type State struct {
	Name      string     `json:"name"`
	Stack     string     `json:"stack,omitempty"` // "mesh", or "stock" for go-kit's own rings
	Work      string     `json:"work,omitempty"`  // simulated service time, a Go duration; local meshes only
	Workers   int        `json:"workers,omitempty"`
	Gateway   string     `json:"gateway"` // the edge's URL, the shop's front door
	Consul    string     `json:"consul"`
	Zipkin    string     `json:"zipkin,omitempty"`
	Broker    string     `json:"broker"`
	Provider  string     `json:"provider,omitempty"`
	Proxy     string     `json:"proxy,omitempty"`   // the API of the proxy in every line; kitmesh up --proxies
	Control   string     `json:"control,omitempty"` // the supervisor's own API; local meshes only
	Instances []Instance `json:"instances"`
	Parts     []Part     `json:"parts"`
}

// Instance is one process or container of a service.
type Instance struct {
	Service   string `json:"service"`
	ID        string `json:"id"`
	PID       int    `json:"pid,omitempty"`
	Container string `json:"container,omitempty"`
	RPC       string `json:"rpc"`   // host:port
	Admin     string `json:"admin"` // URL
	Version   string `json:"version"`
	Zone      string `json:"zone"`
	Source    string `json:"source,omitempty"` // the IP it calls others from, where each has its own
	Restarts  int    `json:"restarts"`
	RSSBytes  int64  `json:"rss_bytes,omitempty"`
	Status    string `json:"status"`          // "running", "paused", "restarting", "stopped"
	Extra     bool   `json:"extra,omitempty"` // a canary: not one of those that Scale counts
}

// Part is anything else that runs: consul, broker, zipkin, provider, edge,
// load or supervisor.
type Part struct {
	Name      string `json:"name"`
	PID       int    `json:"pid,omitempty"`
	Container string `json:"container,omitempty"`
	Admin     string `json:"admin,omitempty"` // URL; the edge's
	Restarts  int    `json:"restarts"`
	RSSBytes  int64  `json:"rss_bytes,omitempty"`
	Status    string `json:"status"`
}

// Fleet is a running mesh seen from outside. A name is an instance's id
// ("catalog-2") or a part's ("consul").
type Fleet interface {
	// State lists what runs now.
	State(ctx context.Context) (State, error)
	// Signal sends sig to one instance or part.
	Signal(ctx context.Context, name string, sig syscall.Signal) error
	// Restart ends one instance or part in good order and starts it again.
	Restart(ctx context.Context, name string) error
	// Scale sets the number of a service's instances.
	Scale(ctx context.Context, service string, n int) error
	// Faults sets (or, with none, clears) the injected faults of one instance.
	Faults(ctx context.Context, name string, f Faults) error
	// Logs copies the log of one instance or part to w, and goes on with it
	// until ctx ends when follow is set.
	Logs(ctx context.Context, name string, follow bool, w io.Writer) error
}

// Holder is a Fleet that can keep something down: it ends the instance or part
// with sig and starts it again after d. It returns when the process has ended.
type Holder interface {
	Hold(ctx context.Context, name string, sig syscall.Signal, d time.Duration) error
}

// FaultReader is a Fleet that tells which faults an instance has now.
type FaultReader interface {
	FaultsOf(ctx context.Context, name string) (Faults, error)
}

// Hirer is a Fleet that can run instances beside those that Scale counts, such as
// a canary. They are restarted like the others, and keep their faults.
type Hirer interface {
	// Hire starts one and returns its id.
	Hire(ctx context.Context, h Hire) (id string, err error)
	// Dismiss ends the one of that name in good order, for good.
	Dismiss(ctx context.Context, name string) error
}

// Hire says what to start.
type Hire struct {
	Name    string `json:"name"` // the id, where it can be chosen; else by what Dismiss knows it
	Service string `json:"service"`
	Version string `json:"version"`
	Faults  Faults `json:"faults"` // from its first request on
}

// Cutter is a Fleet that can take something off its networks and put it back.
type Cutter interface {
	// Links tells the networks that an instance or part is on, and how, as a JSON
	// object by network, for Join.
	Links(ctx context.Context, name string) (json.RawMessage, error)
	// Cut takes it off all of them.
	Cut(ctx context.Context, name string) error
	// Join puts it back on those it is not on; false if it was on all.
	Join(ctx context.Context, name string, links json.RawMessage) (bool, error)
}

// Faults are misbehaviours to inject; the zero value is none.
type Faults struct {
	Latency   string  `json:"latency,omitempty"`    // a Go duration
	ErrorRate float64 `json:"error_rate,omitempty"` // 0 to 1
	Code      string  `json:"code,omitempty"`       // of the errors; "" is unavailable
	Burn      int     `json:"burn,omitempty"`       // goroutines that burn processor time
	BurnFor   string  `json:"burn_for,omitempty"`   // a Go duration; read: what is left of it
}
