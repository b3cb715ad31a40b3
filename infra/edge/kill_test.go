package edge

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
)

// store is what all gateways of a test share: orders, once per key.
type store struct {
	mu     sync.Mutex
	orders map[string]json.RawMessage // by key
	byID   map[string]json.RawMessage
	twice  int
}

func (s *store) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/products", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"products":[{"sku":"a"},{"sku":"b"},{"sku":"c"}]}`)
	})
	mux.HandleFunc("GET /v1/products/{sku}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Millisecond) // so that deaths meet requests
		fmt.Fprintf(w, `{"sku":%q,"available":5}`, r.PathValue("sku"))
	})
	mux.HandleFunc("GET /v1/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if o, ok := s.byID[r.PathValue("id")]; ok {
			_, _ = w.Write(o)
			return
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Lines json.RawMessage `json:"lines"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := s.place(r.Header.Get("Idempotency-Key"), in.Lines)
		time.Sleep(10 * time.Millisecond) // the order is stored; a death now loses the answer
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(out)
	})
	return mux
}

func (s *store) place(key string, lines json.RawMessage) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, again := s.orders[key]; again {
		s.twice++
		return o
	}
	id := fmt.Sprintf("o-%d", len(s.orders)+1)
	o := json.RawMessage(fmt.Sprintf(`{"id":%q,"status":"confirmed","lines":%s,"total":{"amount":100}}`, id, lines))
	s.orders[key], s.byID[id] = o, o
	return o
}

// mortal is a gateway that is killed and comes back at the same address.
type mortal struct {
	addr    string
	handler http.Handler
	server  *http.Server
	done    chan struct{}
}

func (m *mortal) start(t *testing.T) {
	var l net.Listener
	var err error
	for range 100 { // the port may need a moment
		if l, err = net.Listen("tcp", m.addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Error(err)
		return
	}
	m.addr = l.Addr().String()
	m.server, m.done = &http.Server{Handler: m.handler}, make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		_ = s.Serve(l)
	}(m.server, m.done)
}

// kill closes everything at once, requests under way included.
func (m *mortal) kill() {
	_ = m.server.Close()
	<-m.done
}

// One of three gateways at a time is killed and restarted, over and over, under
// load: customers see nothing, and no order is lost or taken twice.
func TestKillingGatewaysUnderLoad(t *testing.T) {
	shared := &store{orders: map[string]json.RawMessage{}, byID: map[string]json.RawMessage{}}
	var mortals []*mortal
	var gateways []*gateway
	for i := range 3 {
		g := newGateway(t, fmt.Sprintf("gateway-%d", i+1))
		g.Close() // only its address is needed
		m := &mortal{addr: g.Listener.Addr().String(), handler: shared.handler()}
		m.start(t)
		mortals, gateways = append(mortals, m), append(gateways, g)
	}
	// Deaths are the subject; a busy test machine is not.
	const ample = 20 * time.Second
	patient := Limits{ReadTry: ample, WriteTry: ample, Deadline: ample, WriteTime: 2 * ample}
	e := start(t, Options{Limits: patient}, gateways...)

	stop, stopped := make(chan struct{}), make(chan struct{})
	kills := 0
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
			m := mortals[kills%len(mortals)]
			m.kill()
			time.Sleep(50 * time.Millisecond)
			m.start(t)
			kills++
		}
	}()
	r, err := load.Run(t.Context(), load.Options{
		URL: "http://" + e.Addr(), Rate: 60, Duration: 3 * time.Second, Seed: 1, Wait: ample,
		Mix:          load.Mix{{Op: load.Browse, Weight: 50}, {Op: load.Checkout, Weight: 50}},
		VerifyOrders: true, BrowseDeadline: ample, CheckoutDeadline: ample, MaxInFlight: 500,
	})
	close(stop)
	<-stopped
	for _, m := range mortals {
		m.kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d requests, %.3f tries each, %d orders repeated under their key", kills, r.Requests, r.TriesPerRequest, shared.twice)
	if r.Success != 1 {
		t.Errorf("success %v, failures %v", r.Success, r.Failures)
	}
	if !r.Verification.Held() || int(r.Orders) != len(shared.orders) {
		t.Errorf("%s; the shop has %d orders", r.Verification, len(shared.orders))
	}
	if kills == 0 {
		t.Error("nobody died: nothing is shown")
	}
}
