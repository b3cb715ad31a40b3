package runner

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/proxy"
)

func TestLines(t *testing.T) {
	d := testDirs(t)
	l, err := newLines(d, &ports{})
	if err != nil {
		t.Fatal(err)
	}
	from := parts{Consul: "http://127.0.0.1:8500", Broker: "nats://127.0.0.1:4222", Zipkin: "https://zipkin.example/", Provider: "http://127.0.0.1:9090"}
	to, err := l.through("pricing-1", from)
	if err != nil {
		t.Fatal(err)
	}
	if to.Consul == from.Consul || !strings.HasPrefix(to.Consul, "http://127.0.0.1:") || to.Broker == from.Broker || !strings.HasPrefix(to.Broker, "nats://") {
		t.Errorf("%+v, want lines", to)
	}
	if to.Zipkin != from.Zipkin {
		t.Errorf("%s, want what no line can lead to as it was", to.Zipkin)
	}
	if again, _ := l.through("pricing-1", from); again != to {
		t.Errorf("%+v, then %+v: a line has one address", to, again)
	}
	if other, _ := l.through("pricing-2", from); other.Consul == to.Consul {
		t.Error("two instances share a line")
	}
	first, second := l.source("pricing-1"), l.source("pricing-2")
	if runtime.GOOS == "linux" && (first == second || l.source("pricing-1") != first) {
		t.Error("each instance has one address of its own")
	}
	var none *lines
	if same, err := none.through("pricing-1", from); err != nil || same != from || none.publish() != nil {
		t.Errorf("without proxies: %+v %v", same, err)
	}
}

// A proxy that is started again has the lines of before, aimed at where they lead
// now.
func TestLinesOutliveTheProxy(t *testing.T) {
	l, err := newLines(testDirs(t), &ports{})
	if err != nil {
		t.Fatal(err)
	}
	echo, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	if _, err := l.add("pricing-1", "rpc", "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	addr, err := l.add("pricing-1", "rpc", echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.publish(); err != nil { // to the file: no proxy runs
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	ready := make(chan struct{})
	go func() { served <- proxy.Serve(ctx, l.addr, l.file, func(string) { close(ready) }) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := echo.Accept(); err != nil {
		t.Fatal(err)
	}
}

func TestHireAndDismiss(t *testing.T) {
	s := testSupervisor(t)
	s.makeInstance = func(service string, n int) (spec, error) {
		sp := standIn(instanceID(service, n), "serve")
		sp.service = service
		return sp, nil
	}
	var faults string
	s.makeExtra = func(service, name, version, f string) (spec, error) {
		faults = f
		sp := standIn(name, "serve")
		sp.service, sp.version, sp.extra = service, version, true
		return sp, nil
	}
	if err := s.Scale(t.Context(), "catalog", 1); err != nil {
		t.Fatal(err)
	}
	h := Hire{Name: "catalog-v2", Service: "catalog", Version: "v2", Faults: Faults{ErrorRate: 0.5}}
	if err := s.Hire(h); err != nil {
		t.Fatal(err)
	}
	if faults != `{"error_rate":0.5}` {
		t.Errorf("faults %s", faults)
	}
	runningPID(t, s, "catalog-v2")
	runningPID(t, s, "catalog-1")
	if err := s.Hire(h); err == nil {
		t.Error("hired twice")
	}
	if err := s.Hire(Hire{Name: "catalog-3", Service: "catalog"}); err == nil {
		t.Error("hired under a name that Scale gives")
	}
	if err := s.Dismiss(t.Context(), "catalog-1"); err == nil {
		t.Error("dismissed one that was not hired")
	}
	if err := s.Scale(t.Context(), "catalog", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := s.child("catalog-v2"); err != nil {
		t.Errorf("Scale ended the canary: %v", err)
	}
	for range 2 {
		if err := s.Dismiss(t.Context(), "catalog-v2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.child("catalog-v2"); err == nil {
		t.Error("the canary is still there")
	}
}
