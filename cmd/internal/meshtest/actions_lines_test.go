package meshtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

// talk sends a request for a page to a gateway's own address, through its proxy.
func (h *hurt) talk(addr string, patience time.Duration) (time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	_ = conn.SetDeadline(began.Add(patience))
	_, _ = io.WriteString(conn, "GET /v1/products?page_size=1 HTTP/1.1\r\nHost: shop\r\n\r\n")
	_, err = conn.Read(make([]byte, 1))
	return time.Since(began), err
}

var aGateway = action.Target{Service: "gateway", Select: "ALL"}

func (h *hurt) testLatency() {
	addr := h.instance("gateway-1").RPC
	r, _ := h.begin(action.Spec{Action: "latency", Target: "v", Latency: 150 * time.Millisecond, Peers: []string{"edge"}}, aGateway)
	if took, err := h.talk(addr, 5*time.Second); err != nil || took < 150*time.Millisecond {
		h.t.Errorf("%v %v, want 150 ms more", took, err)
	}
	began := time.Now()
	get(h.t, h.state.Gateway+"/v1/products?page_size=1", new(map[string]any))
	if took := time.Since(began); took < 150*time.Millisecond {
		h.t.Errorf("a customer waits %v, want 150 ms more", took)
	}
	h.stop(r)
	best := time.Hour
	for range 10 {
		if took, err := h.talk(addr, 5*time.Second); err == nil {
			best = min(best, took)
		}
	}
	if best > 150*time.Millisecond {
		h.t.Errorf("afterwards it takes %v", best)
	}
}

// served is how many requests a gateway has served.
func (h *hurt) served(id string) (n float64) {
	metrics, err := h.text(h.instance(id).Admin + "/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "kitmesh_server_requests_total{") {
			_, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			x, _ := strconv.ParseFloat(value, 64)
			n += x
		}
	}
	return n
}

func (h *hurt) testLoss() {
	addr := h.instance("gateway-1").RPC
	r, _ := h.begin(action.Spec{Action: "loss", Target: "v"}, aGateway)
	before := h.served("gateway-1")
	if _, err := h.talk(addr, 300*time.Millisecond); !timedOut(err) {
		h.t.Errorf("%v, want silence", err)
	}
	eventually(h.t, 10*time.Second, "the request has its effect", func() error {
		if n := h.served("gateway-1") - before; n < 1 {
			return fmt.Errorf("%v requests were served", n)
		}
		return nil
	})
	h.stop(r)
	if _, err := h.talk(addr, 5*time.Second); err != nil {
		h.t.Error(err)
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func (h *hurt) testReset() {
	addr := h.instance("gateway-1").RPC
	r, _ := h.begin(action.Spec{Action: "reset", Target: "v"}, aGateway)
	if _, err := h.talk(addr, 5*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		h.t.Errorf("%v, want a reset", err)
	}
	h.stop(r)
	if _, err := h.talk(addr, 5*time.Second); err != nil {
		h.t.Error(err)
	}
}

// greet opens an HTTP/2 connection from an address and waits for the server's
// settings.
func greet(from, to string) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(400 * time.Millisecond))
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	_, err = conn.Read(make([]byte, 1))
	return err
}

func (h *hurt) testPartitionPeer() {
	pricing := h.instance("pricing-1").RPC
	gateway, orders := h.instance("gateway-1").Source, h.instance("orders-1").Source
	r, _ := h.begin(action.Spec{Action: "partition", Target: "v", Peers: []string{"pricing"}}, aGateway)
	if err := greet(gateway, pricing); !timedOut(err) {
		h.t.Errorf("from the gateway: %v, want silence", err)
	}
	if err := greet(orders, pricing); err != nil {
		h.t.Errorf("orders cannot talk to pricing either: %v", err)
	}
	var page struct{ Partial []string }
	get(h.t, h.state.Gateway+"/v1/products/tea-sencha-100", &page)
	if !slices.Contains(page.Partial, "price") && !slices.Contains(page.Partial, "pricing") {
		h.t.Errorf("partial is %q, want the price to be missing", page.Partial)
	}
	h.stop(r)
	if err := greet(gateway, pricing); err != nil {
		h.t.Error(err)
	}
	eventually(h.t, 20*time.Second, "prices are back", func() error {
		page.Partial = nil
		if _, err := tryGet(h.t.Context(), h.state.Gateway+"/v1/products/tea-sencha-100", &page); err != nil || len(page.Partial) > 0 {
			return fmt.Errorf("%v missing, %w", page.Partial, err)
		}
		return nil
	})
}

func (h *hurt) testPartitionConsul() {
	r, _ := h.begin(action.Spec{Action: "partition", Target: "v", Peers: []string{"consul"}}, aCatalog)
	eventually(h.t, 10*time.Second, "Consul gives it up", func() error { return h.wantPassing("catalog", 1) })
	h.stop(r)
	eventually(h.t, 10*time.Second, "it is back", func() error { return h.wantPassing("catalog", 2) })
}
