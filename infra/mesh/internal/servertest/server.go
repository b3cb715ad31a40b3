// Package servertest is a gRPC instance for tests: it counts what reaches it and
// answers when told to.
package servertest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// Server serves gRPC's own health method.
type Server struct {
	health.UnimplementedHealthServer
	Addr   string
	Conns  atomic.Int32 // open now
	Dialed atomic.Int32 // ever opened
	Calls  atomic.Int32 // ever begun

	grpc *grpc.Server
	mu   sync.Mutex
	gate chan struct{}
}

// Serve starts a Server at addr until the test ends.
func Serve(t *testing.T, addr string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String()}
	s.grpc = grpc.NewServer(append(target.ServerOptions(), grpc.StatsHandler(s))...)
	health.RegisterHealthServer(s.grpc, s)
	go s.grpc.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server as a crash would: calls in flight are cut off.
func (s *Server) Stop() { s.grpc.Stop() }

// Hold makes calls wait until gate closes.
func (s *Server) Hold(gate chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

// Check answers, after the gate if there is one.
func (s *Server) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	s.Calls.Add(1)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done(): // an answer could yet overtake the end of the caller's time
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

// TagConn is part of stats.Handler.
func (s *Server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC is part of stats.Handler.
func (s *Server) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC is part of stats.Handler.
func (s *Server) HandleRPC(context.Context, stats.RPCStats) {}

// HandleConn counts connections.
func (s *Server) HandleConn(_ context.Context, c stats.ConnStats) {
	switch c.(type) {
	case *stats.ConnBegin:
		s.Conns.Add(1)
		s.Dialed.Add(1)
	case *stats.ConnEnd:
		s.Conns.Add(-1)
	}
}

// Dial makes the endpoint of the method on a connection, as a transport does.
func Dial(conn grpc.ClientConnInterface) endpoint.Endpoint {
	client := health.NewHealthClient(conn)
	return func(ctx context.Context, _ any) (any, error) {
		return client.Check(ctx, &health.HealthCheckRequest{})
	}
}
