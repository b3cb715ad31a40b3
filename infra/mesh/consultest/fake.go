package consultest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consul"
)

// Fake answers /v1/health/service queries as it is told to, blocking ones
// included: for states and timings that a real Consul shows only by accident.
type Fake struct {
	tb     testing.TB
	server *httptest.Server
	end    chan struct{}

	mu      sync.Mutex
	entries []*api.ServiceEntry
	index   uint64
	status  int // of every answer; 0 means 200
	changed chan struct{}
	queries []Query
	blocked int
}

// Query is one health query that arrived.
type Query struct {
	Index  uint64
	Wait   time.Duration // 0 if none was asked for
	Filter string
}

// NewFake starts a Fake at index 1 with no entries, until the test ends.
func NewFake(tb testing.TB) *Fake {
	f := &Fake{tb: tb, index: 1, changed: make(chan struct{}), end: make(chan struct{})}
	f.server = httptest.NewServer(f)
	tb.Cleanup(func() {
		close(f.end)
		f.server.Close()
	})
	return f
}

// Client returns a new client with the mesh's own transport.
func (f *Fake) Client() *api.Client {
	client, err := consul.Client(f.server.URL, "")
	if err != nil {
		f.tb.Fatal(err)
	}
	return client
}

// Set replaces what is answered and wakes the blocked queries.
func (f *Fake) Set(index uint64, entries ...*api.ServiceEntry) {
	f.change(func() { f.index, f.entries, f.status = index, entries, 0 })
}

// Fail answers every query, the blocked ones included, with an HTTP status.
func (f *Fake) Fail(status int) {
	f.change(func() { f.status = status })
}

// Queries lists the queries so far.
func (f *Fake) Queries() []Query {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Query(nil), f.queries...)
}

// Blocked is how many queries wait now.
func (f *Fake) Blocked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocked
}

// Watches is how many watches began: queries without an index. One that starts
// anew after an error counts again.
func (f *Fake) Watches() (n int) {
	for _, q := range f.Queries() {
		if q.Index == 0 {
			n++
		}
	}
	return n
}

// URL is the base URL.
func (f *Fake) URL() string { return f.server.URL }

func (f *Fake) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked += n
}

func (f *Fake) change(apply func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	apply()
	close(f.changed)
	f.changed = make(chan struct{})
}

// ServeHTTP answers as Consul does: a query with an index that is still current
// waits for a change.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := Query{Filter: r.FormValue("filter")}
	q.Index, _ = strconv.ParseUint(r.FormValue("index"), 10, 64)
	q.Wait, _ = time.ParseDuration(r.FormValue("wait"))
	f.mu.Lock()
	f.queries = append(f.queries, q)
	changed, current := f.changed, f.index
	f.mu.Unlock()
	if q.Index > 0 && q.Index >= current {
		f.block(r, q.Wait, changed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status != 0 {
		http.Error(w, "told to fail", f.status)
		return
	}
	w.Header().Set("X-Consul-Index", strconv.FormatUint(f.index, 10))
	entries := append([]*api.ServiceEntry{}, f.entries...)
	if r.Form.Has("passing") {
		entries = slices.DeleteFunc(entries, func(e *api.ServiceEntry) bool {
			return e.Checks.AggregatedStatus() != api.HealthPassing
		})
	}
	_ = json.NewEncoder(w).Encode(entries) // the reader left
}

func (f *Fake) block(r *http.Request, wait time.Duration, changed <-chan struct{}) {
	if wait <= 0 {
		wait = 5 * time.Minute // Consul's own default
	}
	f.count(1)
	defer f.count(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-r.Context().Done():
	case <-f.end:
	}
}

// Entry makes a passing entry of service "x" at host:port 127.0.0.1:port.
func Entry(id string, port int) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node: &api.Node{Node: "n1", Address: "127.0.0.1"},
		Service: &api.AgentService{
			ID: id, Service: "x", Address: "127.0.0.1", Port: port,
			Weights: api.AgentWeights{Passing: 1, Warning: 1},
		},
		Checks: api.HealthChecks{{CheckID: "alive:" + id, ServiceID: id, Status: api.HealthPassing}},
	}
}

// WithCheck returns e with its check in another state.
func WithCheck(e *api.ServiceEntry, status, output string) *api.ServiceEntry {
	e.Checks[0].Status, e.Checks[0].Output = status, output
	return e
}

// CloseConnections ends what idle clients hold, for leak checks.
func (f *Fake) CloseConnections() { f.server.CloseClientConnections() }
