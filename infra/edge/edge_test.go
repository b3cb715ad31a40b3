package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is an instance behind the edge that remembers what it was asked.
type gateway struct {
	*httptest.Server
	id     string
	answer atomic.Pointer[http.HandlerFunc]

	mu   sync.Mutex
	seen []*http.Request
	body []string
}

func newGateway(t *testing.T, id string) *gateway {
	t.Helper()
	g := &gateway{id: id}
	g.set(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.seen, g.body = append(g.seen, r.Clone(context.Background())), append(g.body, string(body))
		g.mu.Unlock()
		(*g.answer.Load())(w, r)
	}))
	g.Start()
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) set(h http.HandlerFunc) { g.answer.Store(&h) }

func (g *gateway) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen)
}

func (g *gateway) last(t *testing.T) *http.Request {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.seen) == 0 {
		t.Fatalf("%s was not asked", g.id)
	}
	return g.seen[len(g.seen)-1]
}

func (g *gateway) instance() discovery.Instance {
	return discovery.Instance{Service: "gateway", ID: g.id, Addr: g.Listener.Addr().String(), Weight: 1}
}

// start runs an edge over the gateways until the test ends.
func start(t *testing.T, o Options, gateways ...*gateway) *Edge {
	t.Helper()
	var instances []discovery.Instance
	for _, g := range gateways {
		instances = append(instances, g.instance())
	}
	o.Addr, o.Source = "127.0.0.1:0", discovery.NewStatic(instances...)
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		e.Close()
	})
	return e
}

type answer struct {
	*http.Response
	text string
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, e *Edge, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.Addr()+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return answer{resp, string(text)}
}

func (a answer) wantProblem(t *testing.T, status int, code string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.text), &p); err != nil || a.Header.Get("Content-Type") != problemType {
		t.Fatalf("not a problem: %d %q (%v)", a.StatusCode, a.text, err)
	}
	if a.StatusCode != status || p.Status != status || string(p.Code) != code {
		t.Errorf("problem %d/%d %q, want %d %q", a.StatusCode, p.Status, p.Code, status, code)
	}
	if p.TraceID == "" || p.TraceID != a.Header.Get(TraceHeader) || p.Title == "" || p.Detail == "" || p.Type != "about:blank" {
		t.Errorf("incomplete problem %s, header %q", a.text, a.Header.Get(TraceHeader))
	}
}

func problemHandler(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", problemType)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": "from the instance"})
	}
}

// cut ends the connection without a whole answer, as kill -9 does.
func cut(reset bool, start string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, start)
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

const half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"

func TestDyingInstancesAreInvisible(t *testing.T) {
	deaths := map[string]http.HandlerFunc{
		"closed":            cut(false, ""),
		"reset":             cut(true, ""),
		"closed mid-answer": cut(false, half),
		"reset mid-answer":  cut(true, half),
		"garbage":           cut(false, "what?\r\n\r\n"),
		"unavailable":       problemHandler(503, "unavailable"),
		"internal":          problemHandler(500, "internal"),
	}
	for name, death := range deaths {
		t.Run(name, func(t *testing.T) {
			dying, alive := newGateway(t, "dying"), newGateway(t, "alive")
			dying.set(death)
			e := start(t, Options{}, dying, alive)
			for range 20 {
				if got := ask(t, e, "GET", "/v1/products", ""); got.StatusCode != 200 || got.text != "alive" {
					t.Fatalf("GET: %d %q", got.StatusCode, got.text)
				}
				got := ask(t, e, "POST", "/v1/orders", `{"a":1}`, "Idempotency-Key", "k")
				if got.StatusCode != 200 || got.text != "alive" {
					t.Fatalf("keyed POST: %d %q", got.StatusCode, got.text)
				}
			}
			if dying.calls() == 0 {
				t.Error("the dying instance was never asked: nothing is shown")
			}
			for i, body := range alive.body {
				if alive.seen[i].Method == "POST" && body != `{"a":1}` {
					t.Errorf("the retry had the body %q", body)
				}
			}
		})
	}
}

func TestTriesAreTold(t *testing.T) {
	dying, alive := newGateway(t, "dying"), newGateway(t, "alive")
	dying.set(cut(true, ""))
	e := start(t, Options{}, dying, alive)
	seen := map[string]bool{}
	for range 20 {
		seen[ask(t, e, "GET", "/v1/products", "").Header.Get(TriesHeader)] = true
	}
	if !seen["2"] || len(seen) > 2 {
		t.Errorf("tries told: %v", seen)
	}
}

func TestUnkeyedPostIsNeverRepeated(t *testing.T) {
	dying, other := newGateway(t, "dying"), newGateway(t, "other")
	for _, g := range []*gateway{dying, other} {
		g.set(cut(true, ""))
	}
	e := start(t, Options{}, dying, other)
	got := ask(t, e, "POST", "/v1/orders", `{}`)
	got.wantProblem(t, 503, "unavailable")
	if n := dying.calls() + other.calls(); n != 1 {
		t.Errorf("%d instances saw an order without a key", n)
	}
	if got.Header.Get(TriesHeader) != "1" || got.Header.Get("Retry-After") == "" {
		t.Errorf("headers %v", got.Header)
	}
}

func TestFinalAnswersAreNotRepeated(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
	}{{503, "overloaded"}, {429, "limited"}, {504, "deadline_exceeded"}, {409, "conflict"}, {404, "not_found"}, {422, "key_reused"}} {
		t.Run(tt.code, func(t *testing.T) {
			a, b := newGateway(t, "a"), newGateway(t, "b")
			a.set(problemHandler(tt.status, tt.code))
			b.set(problemHandler(tt.status, tt.code))
			e := start(t, Options{}, a, b)
			got := ask(t, e, "POST", "/v1/orders", `{}`, "Idempotency-Key", "k")
			if got.StatusCode != tt.status || !strings.Contains(got.text, "from the instance") {
				t.Errorf("%d %s", got.StatusCode, got.text)
			}
			most := 1
			if tt.code == "overloaded" { // the other one might have had room
				most = 2
			}
			if n := a.calls() + b.calls(); n != most {
				t.Errorf("asked %d instances, want %d", n, most)
			}
		})
	}
}

func TestTheInstancesOwnAnswerIsPassedOnWhenAllFail(t *testing.T) {
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.set(problemHandler(503, "unavailable"))
	b.set(problemHandler(503, "unavailable"))
	e := start(t, Options{}, a, b)
	got := ask(t, e, "GET", "/v1/products", "")
	if got.StatusCode != 503 || !strings.Contains(got.text, "from the instance") || got.Header.Get(TriesHeader) != "2" {
		t.Errorf("%d %s tries %s", got.StatusCode, got.text, got.Header.Get(TriesHeader))
	}
	if a.calls() != 1 || b.calls() != 1 {
		t.Errorf("asked a %d and b %d times", a.calls(), b.calls())
	}
}

// A connection that was kept and whose instance was then replaced is dead
// without anybody having said so.
func TestStaleConnectionDoesNotFailAnOrder(t *testing.T) {
	stale, alive := newGateway(t, "stale"), newGateway(t, "alive")
	e := start(t, Options{}, stale, alive)
	for stale.calls() == 0 {
		ask(t, e, "GET", "/v1/products", "")
	}
	stale.CloseClientConnections()
	stale.Close()
	for i := range 20 {
		got := ask(t, e, "POST", "/v1/orders", `{}`, "Idempotency-Key", fmt.Sprint(i))
		if got.StatusCode != 200 || got.text != "alive" {
			t.Fatalf("order %d: %d %s", i, got.StatusCode, got.text)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	e := start(t, Options{})
	ask(t, e, "GET", "/v1/products", "").wantProblem(t, 503, "unavailable")
	gone := newGateway(t, "gone")
	gone.Close()
	e = start(t, Options{}, gone)
	ask(t, e, "POST", "/v1/orders", "{}", "Idempotency-Key", "k").wantProblem(t, 503, "unavailable")
}

// An answer longer than the edge keeps is streamed; once bytes were passed on,
// a death must end the client's connection, never splice in a second answer.
func TestLongAnswerThatBreaksIsNotSpliced(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 3*maxKept)
	g, other := newGateway(t, "g"), newGateway(t, "other")
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) }
	g.set(whole)
	other.set(whole)
	e := start(t, Options{}, g, other)
	if got := ask(t, e, "GET", "/docs", ""); got.text != string(big) {
		t.Fatalf("%d of %d bytes", len(got.text), len(big))
	}
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(big)))
		_, _ = w.Write(big[:2*maxKept])
		panic(http.ErrAbortHandler)
	}
	g.set(broken)
	other.set(broken)
	resp, err := http.Get("http://" + e.Addr() + "/docs")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil {
		t.Errorf("a broken answer looks whole after %d bytes", n)
	}
	if calls := g.calls() + other.calls(); calls != 2 {
		t.Errorf("%d requests for two answers", calls)
	}
}

func TestFrozenInstanceLeavesTimeForAnother(t *testing.T) {
	frozen, alive := newGateway(t, "frozen"), newGateway(t, "alive")
	frozen.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := start(t, Options{Limits: Limits{ReadTry: 300 * time.Millisecond}}, frozen, alive)
	for range 4 {
		if got := ask(t, e, "GET", "/v1/products", ""); got.text != "alive" {
			t.Fatalf("%d %s", got.StatusCode, got.text)
		}
	}
}

func TestDeadline(t *testing.T) {
	g := newGateway(t, "g")
	g.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := start(t, Options{Limits: Limits{Deadline: 50 * time.Millisecond}}, g)
	ask(t, e, "POST", "/v1/orders", "{}").wantProblem(t, 504, "deadline_exceeded")
}

func TestGracefulEnd(t *testing.T) {
	g := newGateway(t, "g")
	asked, finish := make(chan struct{}), make(chan struct{})
	g.set(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-finish
		fmt.Fprint(w, "done")
	})
	e, err := New(Options{Addr: "127.0.0.1:0", Source: discovery.NewStatic(g.instance())})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	got := make(chan answer, 1)
	go func() { got <- ask(t, e, "GET", "/v1/products", "") }()
	<-asked
	stop()
	for { // the door closes while the request inside goes on
		conn, err := net.Dial("tcp", e.Addr())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(finish)
	if a := <-got; a.text != "done" {
		t.Errorf("cut off: %d %s", a.StatusCode, a.text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A gateway that passes on the failure of a service behind it is well: its
// breaker stays closed, and customers do not see who it was.
func TestAFailureBehindTheGatewayIsNotHeldAgainstIt(t *testing.T) {
	for origin, want := range map[string]string{"payments": "closed", "": "open"} {
		g := newGateway(t, "a")
		failing := problemHandler(503, "unavailable")
		g.set(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if origin != "" {
				w.Header().Set("X-Kitmesh-Origin", origin)
			}
			failing.ServeHTTP(w, r)
		}))
		e := start(t, Options{}, g)
		for range 10 {
			if got := ask(t, e, "GET", "/v1/products", ""); got.StatusCode != 503 || got.Header.Get("X-Kitmesh-Origin") != "" {
				t.Errorf("%d %v", got.StatusCode, got.Header)
			}
		}
		if got := e.target.Report().Members[0].Breaker; got != want {
			t.Errorf("origin %q: breaker %s, want %s", origin, got, want)
		}
	}
}
