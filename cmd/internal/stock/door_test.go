package stock_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kitmesh/kitmesh/cmd/internal/stock"
	"github.com/kitmesh/kitmesh/infra/edge"
	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
)

// The stock front door goes round the gateways and does not ask a second one.
func TestDoor(t *testing.T) {
	consul := consultest.NewFake(t)
	serve := func(name string) (*httptest.Server, int) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+r.URL.Path+" "+r.Header.Get("X-Forwarded-Proto"))
		}))
		t.Cleanup(s.Close)
		return s, s.Listener.Addr().(*net.TCPAddr).Port
	}
	first, a := serve("a")
	_, b := serve("b")
	consul.Set(2, consultest.Entry("gateway-1", a), consultest.Entry("gateway-2", b))
	d, err := stock.NewDoor(edge.Options{Addr: "127.0.0.1:0", Admin: "127.0.0.1:0", Service: "gateway", Consul: consul.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	ask := func() (int, string) {
		resp, err := http.Get("http://" + d.Addr() + "/v1/products")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}

	for { // the endpointer takes the instances in a goroutine of its own
		if status, _ := ask(); status == http.StatusOK {
			break
		}
	}
	seen := map[string]int{}
	for range 10 {
		_, text := ask()
		seen[text]++
	}
	if seen["a /v1/products http"] != 5 || seen["b /v1/products http"] != 5 {
		t.Errorf("%v, want five each", seen)
	}
	first.Close()
	failed := 0
	for range 10 {
		if status, _ := ask(); status == http.StatusBadGateway {
			failed++
		}
	}
	if failed != 5 {
		t.Errorf("%d of 10 fail with one of two gateways dead, want every second", failed)
	}
	if resp, err := http.Get("http://" + d.AdminAddr() + "/mesh"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/mesh: %v", err)
	} else {
		_ = resp.Body.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
