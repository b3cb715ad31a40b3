// Package consultest runs a real Consul for tests and misuses it on request:
// frozen, killed, started again with nothing in it.
package consultest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
)

// startTimeout is generous: test machines are shared.
const startTimeout = 60 * time.Second

// Consul is one `consul agent -dev`. Its ports stay the same through Restart.
type Consul struct {
	tb   testing.TB
	http string
	args []string
	log  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	booted time.Time
}

// Start runs a Consul until the test ends. It fails the test if the binary is
// missing or does not become ready.
func Start(tb testing.TB) *Consul {
	tb.Helper()
	ports := freePorts(tb, 3)
	c := &Consul{
		tb:   tb,
		http: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])),
		log:  filepath.Join(tb.TempDir(), "consul.log"),
		args: []string{
			"agent", "-dev", "-log-level=warn", "-bind=127.0.0.1", "-client=127.0.0.1",
			"-disable-host-node-id", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-serf-wan-port=-1",
			fmt.Sprintf("-http-port=%d", ports[0]),
			fmt.Sprintf("-server-port=%d", ports[1]),
			fmt.Sprintf("-serf-lan-port=%d", ports[2]),
			"-hcl=disable_update_check = true",
		},
	}
	tb.Cleanup(c.Kill)
	c.Restart()
	return c
}

// Addr is the host:port of the HTTP API.
func (c *Consul) Addr() string { return c.http }

// URL is the base URL of the HTTP API.
func (c *Consul) URL() string { return "http://" + c.http }

// Client returns a new client with the mesh's own transport.
func (c *Consul) Client() *api.Client {
	c.tb.Helper()
	client, err := consul.Client(c.URL(), "")
	if err != nil {
		c.tb.Fatal(err)
	}
	return client
}

// Pause freezes the process: connections are accepted, nothing is answered.
func (c *Consul) Pause() { c.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (c *Consul) Resume() { c.signal(syscall.SIGCONT) }

// Kill ends the process at once, frozen or not, and forgets everything in it.
// Calling it again does nothing.
func (c *Consul) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // reports the kill
	c.cmd = nil
}

// Restart starts Consul, empty, on the same ports and waits until it can be
// written to. A running one is killed first.
func (c *Consul) Restart() {
	c.tb.Helper()
	c.Boot()
	c.AwaitReady()
}

// Boot is Restart without the wait.
func (c *Consul) Boot() {
	c.tb.Helper()
	c.Kill()
	logFile, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer logFile.Close()
	cmd := exec.Command(Binary(c.tb), c.args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		c.tb.Fatalf("start consul: %v", err)
	}
	c.mu.Lock()
	c.cmd, c.booted = cmd, time.Now()
	c.mu.Unlock()
}

// Settle waits until a new Consul shows changes of checks at once. In the first
// seconds after its election the agent holds them back, up to 3 s, before its
// first full synchronisation; registrations are not affected.
func (c *Consul) Settle() {
	c.mu.Lock()
	age := time.Since(c.booted)
	c.mu.Unlock()
	time.Sleep(5*time.Second - age)
}

// AwaitReady waits until Consul can be written to.
func (c *Consul) AwaitReady() {
	c.tb.Helper()
	client := c.Client()
	deadline := time.Now().Add(startTimeout)
	for {
		nodes, _, err := client.Catalog().Nodes(&api.QueryOptions{WaitTime: time.Second})
		if err == nil && len(nodes) > 0 {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(c.log)
			c.tb.Fatalf("consul is not ready after %v: %v\n%s", startTimeout, err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *Consul) signal(sig syscall.Signal) {
	c.tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		c.tb.Fatalf("signal %v: consul does not run", sig)
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.tb.Fatalf("signal %v: %v", sig, err)
	}
}

// Binary finds Consul: $KITMESH_CONSUL, else bin/consul of this repository.
func Binary(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("KITMESH_CONSUL")
	if path == "" {
		_, file, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(file), "..", "..", "..", "bin", "consul")
	}
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("no Consul at %s: run make bin/consul", path)
	}
	return path
}

// freePorts reserves all ports before it gives one back, so that they differ.
func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}
