package broker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/openzipkin/zipkin-go"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Waits of the client. A try is short because a repeated one is safe: writes
// carry a message id.
const (
	tryTimeout   = 500 * time.Millisecond // one request to the broker
	callTimeout  = 10 * time.Second       // a call whose context has no deadline; an R3 leader change takes up to 9 s
	retryWait    = 20 * time.Millisecond  // between tries, and between reconnects
	pingInterval = 500 * time.Millisecond
)

// Options says how a client appears and what it reports to.
type Options struct {
	Name     string         // shown in the broker's connection list; the instance id
	Tracer   *zipkin.Tracer // nil: no spans; trace context travels nevertheless
	Logger   *slog.Logger   // nil: silent
	Replicas int            // of streams it creates; 0 means 1
	Grace    time.Duration  // how long the broker may be away before Health fails; 0 means 5 s
}

// Client is one connection to the broker, which it re-establishes by itself
// for as long as it takes.
type Client struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	opts Options

	mu    sync.Mutex
	again chan struct{} // closed at every reconnect
	lost  time.Time     // when the connection was; zero while it stands
}

// Connect returns a client of the broker at url (nats://host:port, several
// separated by commas). The broker may be away: the client keeps trying until
// Close, and its calls fail with fault.Unavailable meanwhile. It fails for a
// URL that can never work.
func Connect(ctx context.Context, url string, o Options) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Replicas = max(o.Replicas, 1)
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	c := &Client{opts: o, again: make(chan struct{}), lost: time.Now()}
	nc, err := nats.Connect(url,
		nats.Name(o.Name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(retryWait),
		nats.ReconnectJitter(retryWait, retryWait),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2*time.Second),
		// Without a buffer a write during an outage fails at once and is known
		// not to have been sent; a buffered one could land after its caller gave up.
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(c.connected),
		nats.ReconnectHandler(c.connected),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ErrorHandler(c.asyncError),
	)
	if err != nil {
		return nil, fmt.Errorf("broker: cannot use %q; write nats://host:port: %w", url, err)
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(tryTimeout)); err != nil {
		nc.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return c, nil
}

// Close ends the connection. End Follow and Consume first through their
// contexts.
func (c *Client) Close() { c.nc.Close() }

// Health says in a sentence how the connection stands. It fails once the broker
// has been away for longer than the grace: a restart takes a fraction of a
// second, and instances that all leave the mesh for it would turn a pause of
// writes into an outage of reads.
func (c *Client) Health(context.Context) (string, error) {
	c.mu.Lock()
	lost := c.lost
	c.mu.Unlock()
	if lost.IsZero() {
		return "connected to the broker at " + c.nc.ConnectedUrlRedacted(), nil
	}
	away := time.Since(lost)
	if away > c.opts.Grace {
		return "", fault.New(fault.Unavailable, "the broker has been away for %s", away.Round(time.Second))
	}
	return fmt.Sprintf("reconnecting to the broker for %s", away.Round(time.Millisecond)), nil
}

func (c *Client) connected(nc *nats.Conn) {
	c.opts.Logger.Info("connected to the broker", "url", nc.ConnectedUrlRedacted())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = time.Time{}
	close(c.again)
	c.again = make(chan struct{})
}

func (c *Client) disconnected(_ *nats.Conn, err error) {
	c.mu.Lock()
	c.lost = time.Now()
	c.mu.Unlock()
	if err != nil {
		c.opts.Logger.Warn("lost the broker; reconnecting", "err", err)
	}
}

func (c *Client) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	c.opts.Logger.Warn("broker connection", "err", err)
}

// untilReconnect returns a context that ends with ctx or at the next
// reconnect, after which pull requests of the old connection are void.
func (c *Client) untilReconnect(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	again := c.again
	c.mu.Unlock()
	round, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-again:
			cancel()
		case <-round.Done():
		}
	}()
	return round, cancel
}
