package stock_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/cmd/internal/stock"
	endpoints "github.com/kitmesh/kitmesh/endpoints/pricing"
	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/pricing"
	transport "github.com/kitmesh/kitmesh/transports/pricing"
)

func newStack(t *testing.T, o stock.Options) *stock.Stack {
	t.Helper()
	s, err := stock.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// instance serves pricing on a port of its own.
func instance(t *testing.T) (*grpc.Server, int) {
	t.Helper()
	svc, err := pricing.New()
	if err != nil {
		t.Fatal(err)
	}
	ring := newStack(t, stock.Options{Consul: "http://127.0.0.1:1"})
	server := grpc.NewServer(ring.ServerOptions()...)
	transport.Register(server, endpoints.New(svc, ring.Server))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return server, l.Addr().(*net.TCPAddr).Port
}

var tea = pricing.QuoteRequest{Lines: []pricing.Line{{SKU: "tea-sencha-100", Quantity: 1}}}

// report reads /mesh.
func report(t *testing.T, s *stock.Stack) target.Report {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/mesh", nil))
	var page struct{ Targets []target.Report }
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Targets) != 1 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return page.Targets[0]
}

// client waits until the endpointer has taken n instances, which it does in a
// goroutine of its own.
func client(t *testing.T, s *stock.Stack, n int) endpoints.Set {
	t.Helper()
	set := transport.Client(s.Client("pricing"))
	for deadline := time.Now().Add(10 * time.Second); len(report(t, s).Members) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the instances are not taken")
		}
	}
	return set
}

func TestRoundRobinRetriesAndBreakers(t *testing.T) {
	first, a := instance(t)
	_, b := instance(t)
	consul := consultest.NewFake(t)
	consul.Set(2, consultest.Entry("pricing-1", a), consultest.Entry("pricing-2", b))
	metrics := prometheus.NewRegistry()
	s := newStack(t, stock.Options{Consul: consul.URL(), Registry: metrics, Timeout: 10 * time.Second})
	quotes := client(t, s, 2)

	for range 20 {
		if _, err := quotes.Quote(t.Context(), tea); err != nil {
			t.Fatal(err)
		}
	}
	if r := report(t, s); r.Members[0].Picks != 10 || r.Members[1].Picks != 10 || r.Retries != 0 {
		t.Errorf("want 10 picks each: %+v", r)
	}
	first.Stop()
	for range 20 {
		if _, err := quotes.Quote(t.Context(), tea); err != nil {
			t.Fatalf("one of two is left, and there are three tries: %v", err)
		}
	}
	r := report(t, s)
	states := r.Members[0].Breaker + " " + r.Members[1].Breaker
	if r.Retries == 0 || !strings.Contains(states, "open") || !strings.Contains(states, "closed") {
		t.Errorf("%d retries, breakers %s; want the one of the dead instance open", r.Retries, states)
	}
	if got := value(t, metrics, "kitmesh_client_requests_total"); got != 40 {
		t.Errorf("%v calls are counted, want 40", got)
	}
	if r.Calls != 40 {
		t.Errorf("the report has %d calls, want 40", r.Calls)
	}
	if got := value(t, metrics, "kitmesh_client_retries_total"); got != float64(r.Retries) {
		t.Errorf("%v retries are counted, want %d", got, r.Retries)
	}
}

// value adds up a counter over its labels.
func value(t *testing.T, r prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// A careful user keeps business errors away from Retry and the breakers.
func TestBusinessErrorsAreAnswers(t *testing.T) {
	_, port := instance(t)
	consul := consultest.NewFake(t)
	consul.Set(2, consultest.Entry("pricing-1", port))
	s := newStack(t, stock.Options{Consul: consul.URL(), Timeout: 10 * time.Second})
	quotes := client(t, s, 1)
	for range 10 {
		_, err := quotes.Quote(t.Context(), pricing.QuoteRequest{Lines: []pricing.Line{{SKU: "no-such-thing", Quantity: 1}}})
		if fault.CodeOf(err) != fault.NotFound {
			t.Fatalf("%v, want not_found", err)
		}
	}
	if r := report(t, s); r.Retries != 0 || r.Members[0].Breaker != "closed" || r.Members[0].Failures != 0 {
		t.Errorf("%+v", r)
	}
}

func TestNobodyThere(t *testing.T) {
	s := newStack(t, stock.Options{Consul: consultest.NewFake(t).URL(), Timeout: 10 * time.Second})
	if _, err := client(t, s, 0).Quote(t.Context(), tea); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("%v, want unavailable", err)
	}
}

// Injected faults reach the callers, and stop when they are cleared.
func TestServerRing(t *testing.T) {
	var faults middleware.Faults
	metrics := prometheus.NewRegistry()
	s := newStack(t, stock.Options{Consul: "http://127.0.0.1:1", Faults: &faults, Registry: metrics})
	e := s.Server("pricing.Quote", func(context.Context, any) (any, error) {
		return nil, fault.New(fault.Conflict, "sold out")
	})
	want := func(code fault.Code) {
		t.Helper()
		for range 10 {
			if _, err := e(t.Context(), nil); fault.CodeOf(err) != code {
				t.Fatalf("%v, want %s", err, code)
			}
		}
	}
	want(fault.Conflict)
	if err := faults.Set(0, 1, fault.Unavailable); err != nil {
		t.Fatal(err)
	}
	want(fault.Unavailable)
	faults.Clear()
	want(fault.Conflict)
	if got := value(t, metrics, "kitmesh_server_requests_total"); got != 30 {
		t.Errorf("%v requests are counted, want 30", got)
	}
}

func TestRateLimit(t *testing.T) {
	s := newStack(t, stock.Options{Consul: "http://127.0.0.1:1", RateLimit: 1})
	e := s.Server("pricing.Quote", func(context.Context, any) (any, error) { return "ok", nil })
	if _, err := e(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e(t.Context(), nil); err == nil {
		t.Error("the second request of the second is let in")
	}
}

func TestRegistration(t *testing.T) {
	seen := make(chan string, 4)
	var entry api.AgentServiceRegistration
	consul := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/register") {
			_ = json.NewDecoder(r.Body).Decode(&entry)
		}
		seen <- r.URL.Path
	}))
	defer consul.Close()
	s := newStack(t, stock.Options{Consul: consul.URL})
	r, err := s.Registrar(registry.Registration{
		Service: "pricing", ID: "pricing-1", Addr: "127.0.0.1:7000", Admin: "http://127.0.0.1:7001", Version: "v1", Zone: "a",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if path := <-seen; path != "/v1/agent/service/register" {
		t.Errorf("first %s", path)
	}
	if entry.ID != "pricing-1" || entry.Port != 7000 || entry.Meta["admin"] != "http://127.0.0.1:7001" ||
		entry.Check.HTTP != "http://127.0.0.1:7001/readyz" || entry.Check.Interval != "10s" {
		t.Errorf("%+v %+v", entry, entry.Check)
	}
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path := <-seen; path != "/v1/agent/service/deregister/pricing-1" {
		t.Errorf("then %s", path)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
