package edge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/middleware"
)

func TestBodyLimit(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	if got := ask(t, e, "POST", "/v1/orders", strings.Repeat("x", 1<<20)); got.StatusCode != 200 {
		t.Errorf("1 MiB: %d %s", got.StatusCode, got.text)
	}
	if n := len(g.body[0]); n != 1<<20 {
		t.Errorf("%d bytes arrived", n)
	}
	ask(t, e, "POST", "/v1/orders", strings.Repeat("x", 2<<20), "Idempotency-Key", "k").wantProblem(t, 413, "too_large")
	chunked := "POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10)), 17) + "0\r\n\r\n"
	if got := raw(t, e, chunked); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, `"too_large"`) {
		t.Errorf("chunked: %.200q", got)
	}
	if g.calls() != 1 {
		t.Errorf("%d requests reached the instance", g.calls())
	}
}

func TestHeaderLimit(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	if got := ask(t, e, "GET", "/v1/products", "", "X-Long", strings.Repeat("x", 30<<10)); got.StatusCode != 200 {
		t.Errorf("30 KiB: %d", got.StatusCode)
	}
	ask(t, e, "GET", "/v1/products", "", "X-Long", strings.Repeat("x", 40<<10)).wantProblem(t, 431, "too_large")
	ask(t, e, "GET", "/"+strings.Repeat("x", 40<<10), "").wantProblem(t, 431, "too_large")
	if got := ask(t, e, "GET", "/", "", "X-Long", strings.Repeat("x", 200<<10)); got.StatusCode != 431 {
		t.Errorf("200 KiB: %d", got.StatusCode)
	}
}

func TestSlowBody(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{Limits: Limits{BodyTime: 50 * time.Millisecond}}, g)
	got := raw(t, e, "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nnever more")
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, `"deadline_exceeded"`) || !strings.Contains(got, "X-Trace-Id: ") {
		t.Errorf("%q", got)
	}
	if g.calls() != 0 {
		t.Error("an instance was held by a slow client")
	}
}

func TestSlowHeaders(t *testing.T) {
	e := start(t, Options{Limits: Limits{HeaderTime: 50 * time.Millisecond}}, newGateway(t, "g"))
	if got := raw(t, e, "GET / HTTP/1.1\r\nHost: x\r\n"); got != "" && !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("%q", got)
	}
}

// The time for the body must not become one for the answer.
func TestSlowAnswerAfterBody(t *testing.T) {
	g := newGateway(t, "g")
	g.set(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(800 * time.Millisecond)
		fmt.Fprint(w, "late")
	})
	e := start(t, Options{Limits: Limits{BodyTime: 400 * time.Millisecond}}, g)
	if got := ask(t, e, "POST", "/v1/orders", "{}"); got.text != "late" {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}

// A limit of 1 has room for 3 pages and, beside them, for 10 orders.
func TestFullHouse(t *testing.T) {
	g := newGateway(t, "g")
	asked, finish := make(chan struct{}), make(chan struct{})
	g.set(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-finish })
	e := start(t, Options{Limits: Limits{InFlight: 1}}, g)
	const pages, orders = 3, 10
	guests := make(chan answer, pages+orders)
	enter := func(n int, path string) {
		for range n {
			go func() { guests <- ask(t, e, "GET", path, "") }()
			<-asked
		}
		got := ask(t, e, "GET", path, "")
		got.wantProblem(t, 503, "overloaded")
		if got.Header.Get("Retry-After") != "1" || got.Header.Get(TriesHeader) != "0" {
			t.Errorf("headers %v", got.Header)
		}
	}
	enter(pages, "/v1/products")
	enter(orders, "/v1/orders/1")
	ask(t, e, "GET", "/v1/orders/1", "", middleware.PriorityHeader, "background").wantProblem(t, 503, "overloaded")
	close(finish)
	for range pages + orders {
		if a := <-guests; a.StatusCode != 200 {
			t.Errorf("a guest got %d", a.StatusCode)
		}
	}
	g.set(func(http.ResponseWriter, *http.Request) {})
	if got := ask(t, e, "GET", "/v1/products", ""); got.StatusCode != 200 {
		t.Errorf("the place was not given back: %d", got.StatusCode)
	}
}

// Nobody outside gives himself a higher priority; a lower one is passed on.
func TestPriorityFromOutside(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	for says, want := range map[string]string{"": "", "critical": "", "normal": "", "junk": "", "background": "background"} {
		ask(t, e, "GET", "/v1/products", "", middleware.PriorityHeader, says)
		if got := g.last(t).Header.Get(middleware.PriorityHeader); got != want {
			t.Errorf("%q goes on as %q, want %q", says, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	e := start(t, Options{}, newGateway(t, "g"))
	ask(t, e, "TRACE", "/", "").wantProblem(t, 405, "method_not_allowed")
	if got := raw(t, e, "CONNECT evil:80 HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405 ") {
		t.Errorf("%q", got)
	}
	if got := raw(t, e, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 ") {
		t.Errorf("%q", got)
	}
	if got := ask(t, e, "PATCH", "/elsewhere", "x"); got.StatusCode != 200 {
		t.Errorf("other methods and paths are the gateway's to refuse: %d", got.StatusCode)
	}
}

func TestForgedHeaders(t *testing.T) {
	g := newGateway(t, "g")
	g.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(TraceHeader, "the instance's own")
		w.Header().Set(TriesHeader, "99")
	})
	e := start(t, Options{}, g)
	got := ask(t, e, "GET", "/v1/products?a=b;c&d=%zz", "",
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "Forwarded", "for=6.6.6.6",
		"X-Real-Ip", "6.6.6.6", TraceHeader, "forged", TriesHeader, "7", "Connection", "X-Secret", "X-Secret", "hop",
		"Proxy-Authorization", "Basic x", "Te", "gzip", "X-Own", "stays", "Host", "ignored")
	in := g.last(t)
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": e.Addr(), "Forwarded": "",
		"X-Real-Ip": "", TraceHeader: "", TriesHeader: "", "X-Secret": "", "Proxy-Authorization": "", "Te": "", "Upgrade": "",
		"X-Own": "stays", "Connection": "",
	} {
		if have := strings.Join(in.Header.Values(name), "|"); have != want {
			t.Errorf("%s arrived as %q, want %q", name, have, want)
		}
	}
	if in.Host != e.Addr() {
		t.Errorf("Host arrived as %q", in.Host)
	}
	if ids := got.Header.Values(TraceHeader); len(ids) != 1 || len(ids[0]) != 32 {
		t.Errorf("trace ids of the answer: %q", ids)
	}
	if tries := got.Header.Values(TriesHeader); len(tries) != 1 || tries[0] != "1" {
		t.Errorf("tries of the answer: %q", tries)
	}
}

func TestUpgradeIsNotPassedOn(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	got := raw(t, e, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || g.last(t).Header.Get("Upgrade") != "" {
		t.Errorf("%q, instance saw %v", got, g.last(t).Header)
	}
}

func TestAdminPages(t *testing.T) {
	g := newGateway(t, "g")
	e := start(t, Options{}, g)
	ask(t, e, "GET", "/v1/products", "")
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + e.AdminAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		"/healthz": "", "/readyz": "1 instances", "/debug/pprof/": "goroutine",
		"/metrics": `kitmesh_edge_requests_total{status="200"} 1`,
	} {
		if status, body := get(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	var page struct {
		Targets []struct {
			Service string `json:"service"`
			Members []any  `json:"members"`
		} `json:"targets"`
	}
	if _, body := get("/mesh"); json.Unmarshal([]byte(body), &page) != nil || len(page.Targets) != 1 ||
		page.Targets[0].Service != "gateway" || len(page.Targets[0].Members) != 1 {
		t.Errorf("/mesh: %s", body)
	}
	empty := start(t, Options{})
	resp, err := http.Get("http://" + empty.AdminAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("an edge without instances is ready: %d", resp.StatusCode)
	}
}

// raw sends text and returns the whole answer.
func raw(t *testing.T, e *Edge, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatalf("after %q: %v", answer, err)
	}
	return string(answer)
}
