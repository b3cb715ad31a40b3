package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/infra/proxy"
)

// lines are the proxy's, one for each thing that a process talks to and one for
// those who talk to it, called <process>.consul, .broker, .zipkin, .provider and
// .rpc. The methods of a nil lines leave everything as it is.
type lines struct {
	client proxy.Client
	addr   string // of its API
	file   string // what a restarted proxy begins with
	ports  *ports

	mu      sync.Mutex
	all     map[string]proxy.Config
	changed []proxy.Config // since the last publish
	sources map[string]string
}

// parts are the URLs of what is not an instance.
type parts struct{ Consul, Broker, Zipkin, Provider string }

func newLines(d dirs, ports *ports) (*lines, error) {
	port, err := ports.free()
	if err != nil {
		return nil, err
	}
	l := &lines{
		client: proxy.Client{URL: baseURL(port)}, addr: address(port), ports: ports,
		file: filepath.Join(d.data("proxy"), "lines.json"),
		all:  map[string]proxy.Config{}, sources: map[string]string{},
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return nil, fmt.Errorf("create the proxy's folder: %w", err)
	}
	return l, l.save()
}

// add leads the line of a process to upstream and returns its address, the same
// for as long as the mesh is up.
func (l *lines) add(process, to, upstream string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := process + "." + to
	c, ok := l.all[name]
	if !ok {
		port, err := l.ports.free()
		if err != nil {
			return "", err
		}
		c = proxy.Config{Name: name, Listen: address(port)}
	}
	c.Upstream = upstream
	l.all[name] = c
	l.changed = append(l.changed, c)
	return c.Listen, nil
}

// through returns the URLs at which a process finds the parts: those of its own
// lines. One that is not plain TCP on a host and port stays as it is.
func (l *lines) through(process string, p parts) (parts, error) {
	if l == nil {
		return p, nil
	}
	for to, text := range map[string]*string{"consul": &p.Consul, "broker": &p.Broker, "zipkin": &p.Zipkin, "provider": &p.Provider} {
		u, err := url.Parse(*text)
		if err != nil || u.Port() == "" || u.Scheme == "https" {
			continue
		}
		addr, err := l.add(process, to, u.Host)
		if err != nil {
			return p, err
		}
		u.Host = addr
		*text = u.String()
	}
	return p, nil
}

// source returns the address that a process calls others from, by which the
// proxy tells callers apart; empty where loopback has only one.
func (l *lines) source(process string) string {
	if runtime.GOOS != "linux" {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sources[process] == "" {
		n := len(l.sources) + 1
		l.sources[process] = net.IPv4(127, 77, byte(n/250), byte(n%250+1)).String()
	}
	return l.sources[process]
}

// publish tells the proxy what changed. One that does not answer yet, or again,
// reads the file.
func (l *lines) publish() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	changed := l.changed
	l.changed = nil
	err := l.save()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.client.Populate(ctx, changed)
	return nil
}

func (l *lines) save() error {
	list := make([]proxy.Config, 0, len(l.all))
	for _, c := range l.all {
		list = append(list, c)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.file+".new", text, 0o600); err != nil {
		return fmt.Errorf("write the proxy's lines: %w", err)
	}
	return os.Rename(l.file+".new", l.file)
}
