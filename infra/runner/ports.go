package runner

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const host = "127.0.0.1"

// ports hands out TCP ports of this machine, none twice.
type ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// Free ports are taken from below the range from which Linux serves outgoing
// connections (32768 on), so that a restarted process finds its port unused.
const (
	lowestFree  = 20000
	highestFree = 32000
)

// free returns a port nobody listens on.
func (p *ports) free() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		port := lowestFree + rand.IntN(highestFree-lowestFree)
		if !p.given[port] && listenable(port) {
			p.give(port)
			return port, nil
		}
	}
	return 0, errors.New("no free TCP port found between 20000 and 32000")
}

// fixed takes the port a user asked for, or a free one for 0. what and flag
// name it in the error.
func (p *ports) fixed(port int, what, flag string) (int, error) {
	if port == 0 {
		return p.free()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given[port] {
		return 0, fmt.Errorf("port %d is asked for twice; give %s another with %s", port, what, flag)
	}
	if !listenable(port) {
		return 0, portTaken(port, what, flag)
	}
	p.give(port)
	return port, nil
}

func (p *ports) give(port int) {
	if p.given == nil {
		p.given = map[int]bool{}
	}
	p.given[port] = true
}

func portTaken(port int, what, flag string) error {
	owner := "another process"
	if pid, name := portOwner(port); pid > 0 {
		owner = fmt.Sprintf("pid %d (%s)", pid, name)
	}
	return fmt.Errorf("port %d, meant for %s, is taken by %s; choose another with %s, or --isolated for free ones everywhere",
		port, what, owner, flag)
}

func listenable(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
func baseURL(port int) string { return "http://" + address(port) }
