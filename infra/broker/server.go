// Package broker is the mesh's durable memory: an embedded NATS JetStream
// server, and journals on it whose events are the state of the services.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout bounds the recovery of the streams at start; a store of millions
// of events recovers in seconds.
const startTimeout = 60 * time.Second

// ServerOptions says where an embedded server listens and stores.
type ServerOptions struct {
	Addr   string       // host:port; port 0 takes a free one. Empty: 127.0.0.1:0
	Dir    string       // the store; created when missing, used by one server at a time
	Logger *slog.Logger // nil: silent
}

// Server is a running embedded server.
type Server struct {
	ns   *server.Server
	lock *dirLock
}

// Start starts an embedded server and returns when it takes connections. What
// it acknowledges is synced to disk first (SyncAlways). It fails when the
// address or the directory is taken.
func Start(ctx context.Context, o ServerOptions) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := o.free(ctx); err != nil {
		return nil, err
	}
	host, port, _ := o.hostPort()
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "kitmesh",
		Host:       host,
		Port:       port,
		JetStream:  true,
		StoreDir:   o.Dir,
		SyncAlways: true, // the default syncs every two minutes: a power failure would lose what was acknowledged
		NoSigs:     true, // signals belong to the process, not to a library in it
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker: %w", err), lock.release())
	}
	log := &serverLog{logger: o.Logger}
	ns.SetLoggerV2(log, false, false, false)
	s := &Server{ns: ns, lock: lock}
	ns.Start()
	if err := s.awaitReady(ctx, log); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// awaitReady returns when s takes connections, or why it will not.
func (s *Server) awaitReady(ctx context.Context, log *serverLog) error {
	deadline := time.Now().Add(startTimeout)
	for !s.ns.ReadyForConnections(50 * time.Millisecond) {
		if fatal := log.fatal(); fatal != "" {
			return fmt.Errorf("broker: the server did not start: %s", fatal)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("broker: the server did not start in time: %w", err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("broker: the server did not start within %s", startTimeout)
		}
	}
	return nil
}

// URL is where clients connect.
func (s *Server) URL() string { return s.ns.ClientURL() }

// Stop closes the connections, flushes the stores and returns when both are
// done. Calling it again does nothing.
func (s *Server) Stop() error {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	return s.lock.release()
}

// Serve runs an embedded server until ctx ends and calls ready with its URL
// once it takes connections.
func Serve(ctx context.Context, o ServerOptions, ready func(url string)) error {
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	ready(s.URL())
	<-ctx.Done()
	return s.Stop()
}

// Validate says what is wrong with o.
func (o ServerOptions) Validate() error {
	if o.Dir == "" {
		return errors.New("broker: no directory for the store; name one with --dir")
	}
	_, _, err := o.hostPort()
	return err
}

func (o ServerOptions) hostPort() (host string, port int, err error) {
	if o.Addr == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil
	}
	host, p, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("broker: %q is not an address; write host:port", o.Addr)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("broker: %q is not a port; write 1 to 65535, or 0 for a free one", p)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// free makes sure that nobody listens on o.Addr: the embedded server would only
// log a failed listen and never become ready.
func (o ServerOptions) free(ctx context.Context) error {
	if _, port, _ := o.hostPort(); port == server.RANDOM_PORT {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("broker: cannot listen on %s; choose another address with --addr: %w", o.Addr, err)
	}
	return l.Close()
}
