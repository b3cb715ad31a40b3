package target_test

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// line counts the HTTP/2 frames of a connection that are not about a call.
type line struct {
	net.Conn
	in, out frames
}

// frames follows one direction; its bytes come in pieces of any size.
type frames struct {
	mu       sync.Mutex
	skip     uint32 // of the frame that is passing
	head     []byte // of the next one
	overhead int    // pings and window updates
}

func (f *frames) pass(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(b) > 0 {
		if n := min(uint32(len(b)), f.skip); n > 0 {
			f.skip -= n
			b = b[n:]
			continue
		}
		f.head = append(f.head, b[0])
		b = b[1:]
		if len(f.head) == 9 { // length of 3 bytes, type, flags, stream of 4: RFC 9113, 4.1
			f.skip = binary.BigEndian.Uint32(f.head) >> 8
			if kind := f.head[3]; kind == 6 || kind == 8 {
				f.overhead++
			}
			f.head = f.head[:0]
		}
	}
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.in.pass(b[:n])
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	l.out.pass(b[:n])
	return n, err
}

// dialer returns an option that dials lines, and how much overhead they saw.
func dialer() (grpc.DialOption, func() int) {
	var l *line
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		l = &line{Conn: conn, out: frames{skip: 24}} // the client's preface: RFC 9113, 3.4
		return l, err
	}
	return grpc.WithContextDialer(dial), func() int {
		l.in.mu.Lock()
		defer l.in.mu.Unlock()
		l.out.mu.Lock()
		defer l.out.mu.Unlock()
		return l.in.overhead + l.out.overhead
	}
}

// Small calls, one after the other, need nothing on the line but themselves.
func TestNoOverheadOnTheLine(t *testing.T) {
	const calls = 100
	option, overhead := dialer()
	x := of(t, 0, target.Options{
		Source: discovery.NewStatic(at(servertest.Serve(t, "127.0.0.1:0"))...), DialOptions: []grpc.DialOption{option},
	})
	e := x.Endpoint("x.M", servertest.Dial)
	for range calls {
		if err := call(t, e); err != nil {
			t.Fatal(err)
		}
	}
	if n := overhead(); n > 5 { // the windows are opened once
		t.Errorf("%d pings and window updates around %d calls, want next to none", n, calls)
	}
	t.Run("stock", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		defer s.Stop()
		health.RegisterHealthServer(s, health.UnimplementedHealthServer{})
		go s.Serve(l)
		option, overhead := dialer()
		conn, err := grpc.NewClient(l.Addr().String(), option, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range calls {
			_, _ = health.NewHealthClient(conn).Check(t.Context(), &health.HealthCheckRequest{Service: "x"})
		}
		if n := overhead(); n < calls {
			t.Errorf("%d pings and window updates around %d calls: gRPC needs no fixed windows any more", n, calls)
		}
	})
}
