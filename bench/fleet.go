package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	stdin io.Closer         // the child ends when it closes, also when we crash
	addrs map[string]string // by kind
}

func startFleet() (*fleet, error) {
	f := &fleet{}
	var err error
	if f.spans, err = startChild(sink); err != nil {
		return nil, err
	}
	f.zipkin = "http://" + f.spans.addrs[sink]
	for range 3 {
		c, err := startChild(f.zipkin)
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

func startChild(arg string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, serveArg, arg)}
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
	said := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &c.addrs)
		}
		said <- err
	}()
	select {
	case err = <-said:
	case <-time.After(10 * time.Second):
		err = errors.New("no word within 10 s")
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("a server did not start: %w", err)
	}
	return c, nil
}

func (c *child) stop() {
	_ = c.stdin.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.cmd.Wait() // it was told to end; how is of no interest
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		_ = c.cmd.Process.Kill()
		<-ended
	}
}
