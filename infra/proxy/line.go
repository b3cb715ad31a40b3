// Package proxy is a TCP proxy whose lines can be made to misbehave while they
// are used: late, slow, silent, cut, reset. It has the toxics and nearly the HTTP
// API of Toxiproxy (github.com/Shopify/toxiproxy), so that what is written for
// that works on this.
package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is a line as the API tells and takes it.
type Config struct {
	Name     string   `json:"name"`
	Listen   string   `json:"listen"`   // host:port; port 0 takes a free one
	Upstream string   `json:"upstream"` // host:port
	Enabled  *bool    `json:"enabled"`  // nil is true
	Toxics   []*Toxic `json:"toxics"`
}

// line is one listener, where its connections go, and what happens to them.
type line struct {
	name   string
	listen string
	toxics atomic.Pointer[toxics]

	mu       sync.Mutex
	upstream string
	listener net.Listener // nil while disabled
	links    map[*link]bool
	work     sync.WaitGroup
}

const (
	dialPatience = 5 * time.Second
	maxLinks     = 4096 // connections of a line at a time; more are refused
)

func newLine(c Config) (*line, error) {
	l := &line{name: c.Name, listen: c.Listen, upstream: c.Upstream, links: map[*link]bool{}}
	l.toxics.Store(&toxics{changed: make(chan struct{})})
	if c.Enabled == nil || *c.Enabled {
		return l, l.enable()
	}
	return l, nil
}

// enable listens; it does nothing when the line is enabled already.
func (l *line) enable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", l.listen)
	if err != nil {
		return fmt.Errorf("line %s: %w", l.name, err)
	}
	l.listener, l.listen = listener, listener.Addr().String() // the same port again after a disable
	l.work.Go(func() { l.accept(listener) })
	return nil
}

// disable refuses new connections and resets the others.
func (l *line) disable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return
	}
	_ = l.listener.Close()
	l.listener = nil
	for k := range l.links {
		k.reset()
	}
}

func (l *line) close() {
	l.disable()
	l.work.Wait()
}

// aim sends new connections elsewhere.
func (l *line) aim(upstream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upstream = upstream
}

func (l *line) config() Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	enabled := l.listener != nil
	c := Config{Name: l.name, Listen: l.listen, Upstream: l.upstream, Enabled: &enabled, Toxics: l.toxics.Load().list}
	if c.Toxics == nil {
		c.Toxics = []*Toxic{}
	}
	return c
}

// accept connects whoever comes until the listener is closed.
func (l *line) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files: it may pass
			time.Sleep(50 * time.Millisecond)
			continue
		}
		l.work.Go(func() { l.serve(conn.(*net.TCPConn)) })
	}
}

// serve is one connection from its begin to its end.
func (l *line) serve(client *net.TCPConn) {
	k := &link{line: l, client: client, from: addrOf(client), gone: make(chan struct{})}
	if !l.add(k) {
		k.reset()
		return
	}
	defer l.remove(k)
	k.obey() // a reset does not wait for the server
	l.mu.Lock()
	upstream := l.upstream
	l.mu.Unlock()
	server, err := net.DialTimeout("tcp", upstream, dialPatience)
	if err != nil {
		k.reset() // what the client sees of a server that is not there
		return
	}
	k.run(server.(*net.TCPConn))
}

func addrOf(conn *net.TCPConn) netip.Addr {
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

func (l *line) add(k *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil || len(l.links) >= maxLinks {
		return false
	}
	l.links[k] = true
	return true
}

func (l *line) remove(k *link) {
	l.mu.Lock()
	delete(l.links, k)
	l.mu.Unlock()
	k.end()
}

// Errors of the API.
var (
	errExists  = errors.New("there is one of that name already")
	errNoToxic = errors.New("there is no such toxic")
)

// change replaces the toxics and has every open connection obey.
func (l *line) change(edit func(list []*Toxic) ([]*Toxic, error)) error {
	l.mu.Lock()
	old := l.toxics.Load()
	list, err := edit(slices.Clone(old.list))
	if err == nil {
		l.toxics.Store(&toxics{list: list, changed: make(chan struct{})})
		close(old.changed)
	}
	var open []*link
	for k := range l.links {
		open = append(open, k)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	for _, k := range open {
		k.obey()
	}
	return nil
}

func (l *line) addToxic(t *Toxic) error {
	if err := t.prepare(); err != nil {
		return err
	}
	return l.change(func(list []*Toxic) ([]*Toxic, error) {
		if (&toxics{list: list}).index(t.Name) >= 0 {
			return nil, errExists
		}
		return append(list, t), nil
	})
}

// updateToxic replaces the attributes that are given, and the toxicity.
func (l *line) updateToxic(name string, with Toxic) (*Toxic, error) {
	var updated *Toxic
	err := l.change(func(list []*Toxic) ([]*Toxic, error) {
		i := (&toxics{list: list}).index(name)
		if i < 0 {
			return nil, errNoToxic
		}
		t := *list[i]
		t.Attributes = merged(t.Attributes, with.Attributes)
		if with.Toxicity != nil {
			t.Toxicity = with.Toxicity
		}
		if err := t.prepare(); err != nil {
			return nil, err
		}
		updated, list[i] = &t, &t
		return list, nil
	})
	return updated, err
}

func merged(sets ...map[string]int) map[string]int {
	all := map[string]int{}
	for _, m := range sets {
		maps.Copy(all, m)
	}
	return all
}

func (l *line) removeToxic(name string) error {
	return l.change(func(list []*Toxic) ([]*Toxic, error) {
		i := (&toxics{list: list}).index(name)
		if i < 0 {
			return nil, errNoToxic
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// heal enables the line and removes every toxic.
func (l *line) heal() error {
	err := l.change(func([]*Toxic) ([]*Toxic, error) { return nil, nil })
	return errors.Join(err, l.enable())
}
