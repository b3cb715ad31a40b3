package target

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/kitmesh/kitmesh/services/fault"
)

const (
	// undialled stands for the state of a connection that nobody asked for yet.
	undialled = -1
	// redialPause keeps a peer that accepts and hangs up from being dialled in a
	// loop: gRPC backs off only from connections that never got ready.
	redialPause = 50 * time.Millisecond
	// keepaliveTime is gRPC's own minimum for clients.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 2 * time.Second
	// streamWindow and connWindow are how much may be on its way unread. They are
	// fixed: gRPC else measures the line with a ping, its answer and a window
	// update around nearly every small message (docs/adr/0011). A MiB fills
	// 10 Gbit/s over 0.8 ms.
	streamWindow = 1 << 20
	connWindow   = 4 << 20
)

// ServerOptions returns what a server needs to accept the connections of a
// Target, and to serve them as cheaply: gRPC servers hang up on clients that
// ping more often than every 5 min unless told otherwise.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: keepaliveTime / 2, PermitWithoutStream: true,
		}),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
	}
}

// dialOptions: a restarted instance on the same port is back within the second,
// and one that accepts but does not speak (stopped, or a host that swallows
// packets) is given up on after one.
func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithNoProxy(),      // instances are never behind a web proxy
		grpc.WithIdleTimeout(0), // the mesh decides when a connection ends
		grpc.WithDisableRetry(), // and when a call is repeated
		grpc.WithDisableServiceConfig(),
	}
}

// link is the one gRPC connection to an instance, dialled when first wanted. It
// implements grpc.ClientConnInterface. Its state is mirrored in an atomic by one
// goroutine, so that picking takes no lock of gRPC's.
type link struct {
	addr  string
	opts  []grpc.DialOption
	ready func() // called whenever the connection becomes ready

	state *atomic.Int32 // the member's, where picks find it
	conn  atomic.Pointer[grpc.ClientConn]

	mu     sync.Mutex // dialling and closing
	closed bool
	stop   context.CancelFunc
	done   chan struct{}
}

func newLink(addr string, opts []grpc.DialOption, state *atomic.Int32, ready func()) *link {
	l := &link{addr: addr, opts: opts, state: state, ready: ready}
	l.state.Store(undialled)
	return l
}

// dial returns the connection, made on the first call; a failure is not
// remembered, so that the next call tries again.
func (l *link) dial() (*grpc.ClientConn, error) {
	if conn := l.conn.Load(); conn != nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if conn := l.conn.Load(); conn != nil {
		return conn, nil
	}
	if l.closed {
		return nil, fault.Wrap(fault.Unavailable, ErrNotSent, "the connection to %s is closed", l.addr)
	}
	conn, err := grpc.NewClient("passthrough:///"+l.addr, l.opts...)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, notSentError{err}, "cannot connect to %s", l.addr)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.done = stop, make(chan struct{})
	l.state.Store(int32(connectivity.Idle))
	l.conn.Store(conn)
	go func() {
		defer close(l.done)
		l.follow(ctx, conn)
	}()
	return conn, nil
}

// follow mirrors the state and keeps the connection from resting: an idle one
// would cost the next call the time to connect.
func (l *link) follow(ctx context.Context, conn *grpc.ClientConn) {
	var dialled time.Time
	for ctx.Err() == nil {
		state := conn.GetState()
		l.state.Store(int32(state))
		switch state {
		case connectivity.Shutdown:
			return
		case connectivity.Ready:
			l.ready()
		case connectivity.Idle:
			pause(ctx, redialPause-time.Since(dialled))
			dialled = time.Now()
			conn.Connect()
		}
		conn.WaitForStateChange(ctx, state)
	}
}

// wake makes a connection that is backing off try now.
func (l *link) wake() {
	if conn := l.conn.Load(); conn != nil {
		conn.ResetConnectBackoff()
	}
}

// close ends the connection and its goroutine. No dial succeeds after it.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if conn := l.conn.Load(); conn != nil {
		l.stop()
		_ = conn.Close() // only ever reports that it was closed before
		<-l.done
	}
	l.state.Store(int32(connectivity.Shutdown))
}

// Invoke performs a unary call; see grpc.ClientConnInterface.
func (l *link) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, err := l.dial()
	if err != nil {
		return err
	}
	if f, ok := ctx.Value(flightKey{}).(*flight); ok {
		if w := f.borrow(ctx); w != nil {
			return w.giveBack(f, conn.Invoke(w, method, args, reply, opts...))
		}
	}
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream begins a streaming call; see grpc.ClientConnInterface.
func (l *link) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := l.dial()
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}

// pause waits for d, if it is positive, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
