package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// echo is a server that answers with what it gets, and counts the bytes.
type echo struct {
	listener net.Listener
	got      atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := conn.Read(buf)
					e.got.Add(int64(n))
					if _, werr := conn.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	return e
}

// lab is a proxy with one line, "line", to an echo, steered over its API.
type lab struct {
	t      *testing.T
	proxy  *Proxy
	api    Client
	server *echo
	addr   string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	p := New()
	api := httptest.NewServer(p.Handler())
	t.Cleanup(func() {
		api.Close()
		p.Close()
	})
	l := &lab{t: t, proxy: p, api: Client{URL: api.URL}, server: newEcho(t)}
	if err := l.api.Populate(t.Context(), []Config{{Name: "line", Upstream: l.server.listener.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	lines, err := l.api.Lines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.addr = lines["line"].Listen
	return l
}

func (l *lab) dial() *net.TCPConn {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func (l *lab) add(x Toxic) {
	l.t.Helper()
	if err := l.api.Add(l.t.Context(), "line", x); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) remove(name string) {
	l.t.Helper()
	if err := l.api.Remove(l.t.Context(), "line", name); err != nil {
		l.t.Fatal(err)
	}
}

// say sends text and returns the echo and how long it took.
func say(t *testing.T, conn net.Conn, text string, patience time.Duration) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	_ = conn.SetDeadline(began.Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		return 0, err
	}
	got := make([]byte, len(text))
	_, err := io.ReadFull(conn, got)
	if err == nil && string(got) != text {
		t.Errorf("the echo of %d bytes differs", len(text))
	}
	return time.Since(began), err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func TestBytesPassUnchanged(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	for _, toxic := range []string{"", "latency", "slicer", "bandwidth"} {
		switch toxic {
		case "latency":
			l.add(Toxic{Name: "x", Type: "latency", Attributes: map[string]int{"latency": 5, "jitter": 5}})
		case "slicer":
			l.add(Toxic{Name: "x", Type: "slicer", Stream: Upstream, Attributes: map[string]int{"average_size": 900, "size_variation": 800}})
		case "bandwidth":
			l.add(Toxic{Name: "x", Type: "bandwidth", Attributes: map[string]int{"rate": 10000}})
		}
		text := strings.Repeat("0123456789abcdef", 8<<10) // 128 KiB
		go func() { _, _ = io.WriteString(conn, text) }()
		got := make([]byte, len(text))
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Fatalf("with %q: %v, equal %v", toxic, err, string(got) == text)
		}
		if toxic != "" {
			l.remove("x")
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %d %v, want EOF", n, err)
	}
}

func TestLatency(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	if took, err := say(t, conn, "a", time.Second); err != nil || took > 80*time.Millisecond {
		t.Fatalf("without a toxic: %v %v", took, err)
	}
	l.add(Toxic{Name: "late", Type: "latency", Attributes: map[string]int{"latency": 100}})
	l.add(Toxic{Name: "late up", Type: "latency", Stream: Upstream, Attributes: map[string]int{"latency": 50}})
	if took, err := say(t, conn, "b", time.Second); err != nil || took < 150*time.Millisecond {
		t.Fatalf("150 ms later: %v %v", took, err)
	}
	l.remove("late")
	if took, err := say(t, conn, "c", time.Second); err != nil || took < 50*time.Millisecond || took > 140*time.Millisecond {
		t.Fatalf("50 ms later: %v %v", took, err)
	}
}

// Ten messages at once are each late by as much: latency is no queue.
func TestLatencyIsNotBandwidth(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "latency", Attributes: map[string]int{"latency": 100}})
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	began := time.Now()
	for range 10 {
		_, _ = conn.Write([]byte("x"))
		time.Sleep(2 * time.Millisecond) // so that they are chunks of their own
	}
	if _, err := io.ReadFull(conn, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 100*time.Millisecond || took > 500*time.Millisecond {
		t.Fatalf("took %v, want a little over 100 ms", took)
	}
}

// A latency that is taken away does not keep what it holds.
func TestHealingIsAtOnce(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Name: "late", Type: "latency", Attributes: map[string]int{"latency": 60000}})
	if _, err := say(t, conn, "a", 50*time.Millisecond); !isTimeout(err) {
		t.Fatalf("%v, want silence", err)
	}
	l.remove("late")
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestLostReplies(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Name: "lost", Type: "timeout"})
	if _, err := say(t, conn, "hello", 100*time.Millisecond); !isTimeout(err) {
		t.Fatalf("%v, want silence", err)
	}
	if got := l.server.got.Load(); got != 5 {
		t.Fatalf("the server got %d bytes, want the 5 of the request: it has its effect", got)
	}
	l.remove("lost")
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("%v: a connection that lost bytes must not go on", err)
	}
	if _, err := say(t, l.dial(), "again", time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestPartition(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "timeout", Stream: Upstream})
	if _, err := say(t, conn, "hello", 100*time.Millisecond); !isTimeout(err) || l.server.got.Load() != 0 {
		t.Fatalf("%v and %d bytes, want silence and none", err, l.server.got.Load())
	}
}

func TestTimeoutCloses(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	if _, err := say(t, conn, "a", time.Second); err != nil {
		t.Fatal(err)
	}
	l.add(Toxic{Type: "timeout", Attributes: map[string]int{"timeout": 50}})
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("%v, want the end", err)
	}
}

func TestReset(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	if _, err := say(t, conn, "a", time.Second); err != nil {
		t.Fatal(err)
	}
	l.add(Toxic{Type: "reset_peer"})
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("an open connection: %v, want a reset", err)
	}
	fresh, err := net.Dial("tcp", l.addr)
	if err == nil {
		defer fresh.Close()
		_ = fresh.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = fresh.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a new connection: %v, want a reset", err)
	}
}

func TestBandwidth(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "bandwidth", Attributes: map[string]int{"rate": 100}})
	if took, err := say(t, conn, strings.Repeat("x", 30000), 5*time.Second); err != nil || took < 250*time.Millisecond || took > 1500*time.Millisecond {
		t.Fatalf("30 KB at 100 KB/s took %v: %v", took, err)
	}
}

func TestSlicer(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "slicer", Attributes: map[string]int{"average_size": 10, "delay": 5000}})
	if took, err := say(t, conn, strings.Repeat("x", 100), 5*time.Second); err != nil || took < 45*time.Millisecond {
		t.Fatalf("10 pieces, 5 ms each, took %v: %v", took, err)
	}
}

func TestLimitData(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "limit_data", Attributes: map[string]int{"bytes": 10}})
	_, _ = io.WriteString(conn, strings.Repeat("x", 30))
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if got, _ := io.ReadAll(conn); len(got) != 10 {
		t.Fatalf("%d bytes, want 10 and the end", len(got))
	}
}

func TestSlowClose(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	l.add(Toxic{Type: "slow_close", Attributes: map[string]int{"delay": 100}})
	began := time.Now()
	_ = conn.CloseWrite()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) < 100*time.Millisecond {
		t.Fatalf("%v after %v, want the end after 100 ms", err, time.Since(began))
	}
}

func TestToxicity(t *testing.T) {
	l := newLab(t)
	half := 0.5
	l.add(Toxic{Type: "reset_peer", Toxicity: &half})
	reset := 0
	for range 60 {
		conn, err := net.Dial("tcp", l.addr)
		if err == nil {
			_, err = say(t, conn, "a", 2*time.Second)
			_ = conn.Close()
		}
		if err != nil {
			reset++
		}
	}
	if reset < 12 || reset > 48 {
		t.Fatalf("%d of 60 connections were reset, want about half", reset)
	}
}

func TestFromSomeClientsOnly(t *testing.T) {
	l := newLab(t)
	l.add(Toxic{Type: "timeout", From: []string{"127.9.9.9"}})
	if _, err := say(t, l.dial(), "a", time.Second); err != nil {
		t.Fatalf("another client: %v", err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	conn, err := d.Dial("tcp", l.addr)
	if err != nil {
		t.Skipf("this machine has no 127.9.9.9: %v", err)
	}
	defer conn.Close()
	if _, err := say(t, conn, "a", 100*time.Millisecond); !isTimeout(err) {
		t.Fatalf("%v, want silence", err)
	}
}

func TestDeadServer(t *testing.T) {
	l := newLab(t)
	_ = l.server.listener.Close()
	conn, err := net.Dial("tcp", l.addr)
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%v, want a reset", err)
	}
	other := newEcho(t)
	if err := l.api.Populate(t.Context(), []Config{{Name: "line", Upstream: other.listener.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := say(t, l.dial(), "a", time.Second); err != nil {
		t.Fatalf("aimed at another: %v", err)
	}
}

func TestDisableAndReset(t *testing.T) {
	l := newLab(t)
	conn := l.dial()
	if _, err := say(t, conn, "a", time.Second); err != nil {
		t.Fatal(err)
	}
	l.post("/proxies/line", `{"enabled":false}`, http.StatusOK)
	if _, err := say(t, conn, "a", time.Second); err == nil || isTimeout(err) {
		t.Fatalf("%v: the open connection lives on", err)
	}
	if c, err := net.Dial("tcp", l.addr); err == nil {
		_ = c.Close()
		t.Fatal("it still takes connections")
	}
	l.add(Toxic{Type: "timeout"})
	l.post("/reset", ``, http.StatusNoContent)
	if _, err := say(t, l.dial(), "a", time.Second); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) post(path, body string, want int) map[string]any {
	l.t.Helper()
	resp, err := http.Post(l.api.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		l.t.Fatalf("POST %s %s: %s %s, want %d", path, body, resp.Status, text, want)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer)
	return answer
}

// The requests of Toxiproxy's README.
func TestToxiproxysAPI(t *testing.T) {
	l := newLab(t)
	made := l.post("/proxies", `{"name":"redis","listen":"127.0.0.1:0","upstream":"127.0.0.1:6379","enabled":true}`, http.StatusCreated)
	if made["enabled"] != true || made["upstream"] != "127.0.0.1:6379" {
		t.Errorf("%v", made)
	}
	l.post("/proxies", `{"name":"redis","upstream":"127.0.0.1:6379"}`, http.StatusConflict)
	toxic := l.post("/proxies/redis/toxics", `{"type":"latency","attributes":{"latency":1000}}`, http.StatusOK)
	if toxic["name"] != "latency_downstream" || toxic["toxicity"] != 1.0 {
		t.Errorf("%v", toxic)
	}
	l.post("/proxies/redis/toxics", `{"type":"latency"}`, http.StatusConflict)
	toxic = l.post("/proxies/redis/toxics/latency_downstream", `{"attributes":{"jitter":10}}`, http.StatusOK)
	if a := toxic["attributes"].(map[string]any); a["latency"] != 1000.0 || a["jitter"] != 10.0 {
		t.Errorf("%v", toxic)
	}
	for _, bad := range []string{`{"type":"gremlin"}`, `{"type":"latency","stream":"sideways","name":"a"}`,
		`{"type":"latency","toxicity":2,"name":"a"}`, `{"type":"latency","attributes":{"late":1},"name":"a"}`,
		`{"type":"latency","attributes":{"latency":-1},"name":"a"}`, `{"type":"latency","from":["home"],"name":"a"}`, `{`} {
		if answer := l.post("/proxies/redis/toxics", bad, http.StatusBadRequest); answer["error"] == "" {
			t.Errorf("%s: no reason", bad)
		}
	}
	l.post("/proxies/nobody/toxics", `{"type":"latency"}`, http.StatusNotFound)
	if err := l.api.Remove(t.Context(), "redis", "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodDelete, l.api.URL+"/proxies/redis", http.NoBody)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	if lines, _ := l.api.Lines(t.Context()); len(lines) != 1 {
		t.Errorf("%v, want one line", lines)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{100, 10000} {
		for _, through := range []string{"straight", "proxied"} {
			b.Run(through+"/"+map[int]string{100: "100B", 10000: "10kB"}[size], func(b *testing.B) {
				server := &echo{}
				server.listener, _ = net.Listen("tcp", "127.0.0.1:0")
				defer server.listener.Close()
				go func() {
					conn, err := server.listener.Accept()
					if err == nil {
						_, _ = io.Copy(conn, conn)
					}
				}()
				addr := server.listener.Addr().String()
				p := New()
				defer p.Close()
				if through == "proxied" {
					if err := p.Add(Config{Name: "x", Upstream: addr}); err != nil {
						b.Fatal(err)
					}
					addr = p.all()["x"].Listen
				}
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				message := bytes.Repeat([]byte("x"), size)
				for b.Loop() {
					_, _ = conn.Write(message)
					if _, err := io.ReadFull(conn, message); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
