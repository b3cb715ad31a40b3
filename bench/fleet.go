package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// serveArg as the first argument makes this program one of its own servers.
const serveArg = "serve"

// The kinds of servers that each process serves, on a port each.
const (
	plain       = "plain"   // the generated gRPC service, nothing around it
	kitmeshRing = "kitmesh" // with kitmesh's server ring
	gokitRing   = "gokit"   // with go-kit's usual server ring
	sink        = "sink"    // of the Zipkin stand-in
)

// fleet is the other processes: three that serve, and one that takes spans.
// Allocations and CPU time of this process are then those of the callers.
type fleet struct {
	servers []*child
	zipkin  string // URL
	spans   *child
}

type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser    // the child ends when it closes, also when we crash
	said  chan []byte       // the lines of its stdout
	addrs map[string]string // by kind
}

func startFleet() (*fleet, error) {
	f := &fleet{}
	var err error
	if f.spans, err = startChild(serverStart, sink); err != nil {
		return nil, err
	}
	f.zipkin = "http://" + f.spans.addrs[sink]
	for range 3 {
		c, err := startChild(serverStart, f.zipkin)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.servers = append(f.servers, c)
	}
	return f, nil
}

// addrs are the addresses of a kind, one per process.
func (f *fleet) addrs(kind string) []string {
	var out []string
	for _, c := range f.servers {
		out = append(out, c.addrs[kind])
	}
	return out
}

func (f *fleet) stop() {
	for _, c := range append(f.servers, f.spans) {
		c.stop()
	}
}

// serverStart is how long a server may take to come up.
const serverStart = 10 * time.Second

func startChild(within time.Duration, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, append([]string{serveArg}, args...)...), said: make(chan []byte)}
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a server: %w", err)
	}
	go func() {
		defer close(c.said)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.said <- slices.Clone(lines.Bytes())
		}
	}()
	err = c.hear(within, &c.addrs)
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("a server did not start: %w", err)
	}
	return c, nil
}

// hear reads what the child says next.
func (c *child) hear(within time.Duration, what any) error {
	select {
	case line, ok := <-c.said:
		if !ok {
			return io.ErrUnexpectedEOF
		}
		return json.Unmarshal(line, what)
	case <-time.After(within):
		return fmt.Errorf("no word within %s", within)
	}
}

// cpu is what the servers have used so far: each answers a line with it. In
// tests they are part of this process, and have nothing of their own.
func (f *fleet) cpu() (sum time.Duration) {
	for _, c := range f.servers {
		if c.cmd == nil {
			continue
		}
		var used time.Duration
		if _, err := io.WriteString(c.stdin, "\n"); err != nil || c.hear(time.Second, &used) != nil {
			return 0
		}
		sum += used
	}
	return sum
}

func (c *child) stop() {
	_ = c.stdin.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range c.said { // until it has closed its stdout
		}
		_ = c.cmd.Wait() // it was told to end; how is of no interest
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		_ = c.cmd.Process.Kill()
		<-ended
	}
}
