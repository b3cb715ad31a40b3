package mesh_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
)

// A trap is something that stock go-kit does in failure. One body looks at both
// sides; it returns "" when all is well, else what is wrong. The stock side must
// be wrong: otherwise the test shows nothing, or go-kit changed and the row can
// go.
type trap[T any] struct {
	name        string
	body        func(*testing.T, T) string
	ours, stock T
}

func (tr trap[T]) run(t *testing.T) {
	t.Run(tr.name, func(t *testing.T) {
		t.Parallel()
		t.Run("kitmesh", func(t *testing.T) {
			if wrong := tr.body(t, tr.ours); wrong != "" {
				t.Error(wrong)
			}
		})
		t.Run("stock", func(t *testing.T) {
			wrong := tr.body(t, tr.stock)
			if wrong == "" {
				t.Error("stock go-kit does not fall into this trap: the test proves nothing")
			}
			t.Log("stock:", wrong)
		})
	})
}

// eventually reports whether ok became true in time.
func eventually(within time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// inTime runs f and reports whether it returned in time. What hangs is left to
// the cleanup that unblocks it.
func inTime(within time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

// frozen is the address of a Consul that accepts connections and says nothing,
// as one under SIGSTOP does. Its connections break when the test ends.
func frozen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu     sync.Mutex
		conns  []net.Conn
		closed bool
	)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if conns = append(conns, c); closed {
				_ = c.Close()
			}
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		closed = true
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return "http://" + l.Addr().String()
}

func meshClient(t *testing.T, url string) *api.Client {
	t.Helper()
	c, err := consul.Client(url, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stockClient(t *testing.T, url string) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// panics runs f and tells of its panic.
func panics(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint("panic: ", p)
		}
	}()
	f()
	return ""
}
