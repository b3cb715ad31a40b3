// Package edge is the shop's front door: a reverse proxy that finds, balances
// and retries over the gateway's instances as the mesh's own clients do, so
// that the death of an instance stays invisible to customers, and that keeps
// the open internet's bad manners (huge bodies, slow clients, forged headers)
// away from them.
package edge

import (
	"log/slog"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// Options configures an Edge. Addr and, without a Source, Consul are needed.
type Options struct {
	Addr    string           // host:port of the front door
	Admin   string           // host:port of health, metrics, profiles and /mesh; 127.0.0.1:0 if empty
	Service string           // what stands behind; "gateway" if empty
	Consul  string           // URL
	Source  discovery.Source // replaces Consul; the caller ends it after the Edge
	Zipkin  string           // URL; empty reports no spans
	Sample  float64          // share of new traces to record, 0 to 1
	// SampleLimit is how many new traces are recorded per second at most; 0 is
	// no limit. Tracing everything costs as much as serving it.
	SampleLimit float64
	Limits      Limits
	Logger      *slog.Logger // nil says nothing
}

// Limits bound what one client, or all of them, can take. A zero field means
// its default.
type Limits struct {
	Body     int64         // bytes of a request body; 1 MiB
	Header   int           // bytes of the request line and headers; 32 KiB
	InFlight int           // requests at once; 1024. More are answered 503 overloaded: pages before orders
	Deadline time.Duration // for the answer of the service, all tries included; 10 s
	// ReadTry and WriteTry are how long one instance may take while another could
	// be asked: a frozen one must not use up the customer's patience. WriteTry is
	// longer than the gateway's own deadline for an order, whose answer says more.
	ReadTry, WriteTry time.Duration // 2 s, 6 s
	HeaderTime        time.Duration // for the headers to arrive; 5 s
	BodyTime          time.Duration // for the body to arrive; 5 s
	IdleTime          time.Duration // of a kept connection; 60 s
	WriteTime         time.Duration // for everything after the headers, until the client has read the answer; 30 s
	Drain             time.Duration // for requests under way at the end; 7 s
}

func (o Options) withDefaults() Options {
	if o.Service == "" {
		o.Service = "gateway"
	}
	if o.Admin == "" {
		o.Admin = "127.0.0.1:0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &o.Limits
	setDefault(&l.Body, 1<<20)
	setDefault(&l.Header, 32<<10)
	setDefault(&l.InFlight, 1024)
	for field, value := range map[*time.Duration]time.Duration{
		&l.Deadline: 10 * time.Second, &l.ReadTry: 2 * time.Second, &l.WriteTry: 6 * time.Second, &l.HeaderTime: 5 * time.Second, &l.BodyTime: 5 * time.Second,
		&l.IdleTime: time.Minute, &l.WriteTime: 30 * time.Second, &l.Drain: 7 * time.Second,
	} {
		setDefault(field, value)
	}
	return o
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
