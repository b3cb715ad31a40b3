package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/broker"
)

// envServe makes the test binary a broker process: "addr dir".
const envServe = "KITMESH_TEST_BROKER"

func TestMain(m *testing.M) {
	if v := os.Getenv(envServe); v != "" {
		addr, dir, _ := strings.Cut(v, " ")
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err := broker.Serve(ctx, broker.ServerOptions{Addr: addr, Dir: dir}, func(url string) { fmt.Println("ready", url) })
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// process is a broker in its own process, which tests kill.
type process struct {
	t    *testing.T
	addr string
	dir  string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, addr: freeAddr(t), dir: t.TempDir()}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) url() string { return "nats://" + p.addr }

func (p *process) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envServe+"="+p.addr+" "+p.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready") {
		_ = cmd.Process.Kill()
		p.t.Fatalf("the broker process said %q, %v", line, err)
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// freeze stops the process and returns when all its threads have stopped.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("the broker did not stop: %v, %v", status, err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// connect returns a client that is closed with the test.
func connect(t *testing.T, url string, o broker.Options) *broker.Client {
	t.Helper()
	c, err := broker.Connect(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// journal opens a journal of an embedded broker that ends with the test.
func journal(t *testing.T, name string) (*broker.Journal, *broker.Client) {
	t.Helper()
	s, err := broker.Start(t.Context(), broker.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := connect(t, s.URL(), broker.Options{Name: t.Name()})
	return open(t, c, name), c
}

func open(t *testing.T, c *broker.Client, name string) *broker.Journal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	j, err := c.Journal(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// eventually polls ok until it holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// background runs f until the test ends and fails the test with its error.
func background(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("background: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}
