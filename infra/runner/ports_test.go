package runner

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestTakenPortNamesOwnerAndFlag(t *testing.T) {
	l, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	var p ports
	_, err = p.fixed(port, "Consul", "--consul-port")
	if err == nil {
		t.Fatal("a taken port was given out")
	}
	want := []string{strconv.Itoa(port), "Consul", "--consul-port", "--isolated"}
	if runtime.GOOS == "linux" {
		want = append(want, "pid "+strconv.Itoa(os.Getpid()))
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not name %s", err, w)
		}
	}
}

func TestPortsAreGivenOnce(t *testing.T) {
	var p ports
	given := map[int]bool{}
	for range 200 {
		port, err := p.free()
		if err != nil {
			t.Fatal(err)
		}
		if given[port] || port < lowestFree || port >= highestFree {
			t.Fatalf("port %d was given before or is out of range", port)
		}
		given[port] = true
	}
	port, err := p.fixed(0, "", "")
	if err != nil || given[port] {
		t.Fatalf("port 0 gave %d, %v", port, err)
	}
	if _, err := p.fixed(port, "Zipkin", "--zipkin-port"); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same port for two parts: %v", err)
	}
}
