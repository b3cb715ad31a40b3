package middleware

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	metric "github.com/afex/hystrix-go/hystrix/metric_collector"
	"github.com/go-kit/kit/circuitbreaker"
	"github.com/go-kit/kit/endpoint"
)

// wrapped hides everything but http.ResponseWriter and Unwrap, as logging and
// tracing middleware does.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func behind(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(wrapped{w}, r) })
}

func TestHystrixStream(t *testing.T) {
	n := unique()
	_ = call(t, Hystrix(HystrixSettings{Name: "streamed" + n}, nil)(fine))
	s := NewHystrixStream()
	ended := make(chan struct{}, 2)
	server := httptest.NewServer(behind(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		ended <- struct{}{}
	})))
	defer server.Close()

	ctx, cancel := context.WithCancel(t.Context())
	resp := get(t, ctx, server.URL)
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type %q", ct)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"name":"streamed`+n+`"`) {
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	cancel() // the client leaves
	<-ended
	resp.Body.Close()

	resp = get(t, t.Context(), server.URL)
	s.Close() // the server shuts down
	<-ended
	resp.Body.Close()
	s.Close()
}

func get(t *testing.T, ctx context.Context, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestHystrixStreamHeadersComeAtOnce(t *testing.T) {
	first := func(h http.Handler) bool {
		server := httptest.NewServer(h)
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // before the first tick of 1 s
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}
	s := NewHystrixStream()
	defer s.Close()
	if !first(s) {
		t.Error("no headers within 500 ms")
	}
	t.Run("stock", func(t *testing.T) {
		stock := hystrix.NewStreamHandler()
		stock.Start()
		defer stock.Stop()
		if first(stock) {
			t.Error("the stock stream sends its headers at once: no trap any more")
		}
		w := httptest.NewRecorder() // a Flusher, but no CloseNotifier
		defer func() {
			if recover() == nil {
				t.Error("the stock stream does not panic behind middleware any more")
			}
		}()
		stock.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	})
}

func TestHystrixStreamNeedsFlush(t *testing.T) {
	s := NewHystrixStream()
	defer s.Close()
	w := httptest.NewRecorder()
	s.ServeHTTP(struct{ http.ResponseWriter }{w}, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotImplemented {
		t.Errorf("status %d, want 501", w.Code)
	}
}

// shown reads what a stream says first of a command and of its pool.
func shown(t *testing.T, h http.Handler, name string) (command, pool map[string]any) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resp := get(t, ctx, server.URL)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan() && (command == nil || pool == nil); {
		text, data := strings.CutPrefix(lines.Text(), "data:")
		var event map[string]any
		if !data || json.Unmarshal([]byte(text), &event) != nil || event["name"] != name {
			continue
		}
		if event["type"] == "HystrixCommand" {
			command = event
		} else {
			pool = event
		}
	}
	cancel() // the server waits for its streams
	if command == nil || pool == nil {
		t.Fatalf("the stream says nothing of %s", name)
	}
	return command, pool
}

// Dashboards leave out commands that lack a field.
func TestHystrixStreamHasTheFieldsOfStock(t *testing.T) {
	name := "fields" + unique()
	_ = call(t, Hystrix(HystrixSettings{Name: name}, nil)(fine))
	s := NewHystrixStream()
	defer s.Close()
	stock := hystrix.NewStreamHandler()
	stock.Start()
	defer stock.Stop()
	command, pool := shown(t, s, name)
	wantCommand, wantPool := shown(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stock.ServeHTTP(w, r) }), name)
	keys := func(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), "\n") }
	if keys(command) != keys(wantCommand) || keys(pool) != keys(wantPool) {
		t.Errorf("got\n%s\n%s\nwant\n%s\n%s", keys(command), keys(pool), keys(wantCommand), keys(wantPool))
	}
}

func TestHystrixStreamFigures(t *testing.T) {
	name := "figures" + unique()
	s := NewHystrixStream()
	defer s.Close()
	guard := Hystrix(HystrixSettings{Name: name, MaxConcurrent: 1, RequestVolume: 2, SleepWindow: 10 * time.Millisecond},
		func(context.Context, any, error) (any, error) { return "instead", nil })
	if err := call(t, guard(func(ctx context.Context, _ any) (any, error) {
		return guard(fine)(ctx, nil) // finds the bulkhead full
	})); err != nil {
		t.Fatal(err)
	}
	command, pool := shown(t, s, name)
	for field, want := range map[string]any{
		"requestCount": 2.0, "rollingCountSuccess": 1.0, "rollingCountThreadPoolRejected": 1.0, "rollingCountFallbackSuccess": 1.0,
		"errorPercentage": 50.0, "isCircuitBreakerOpen": false, "currentConcurrentExecutionCount": 0.0,
	} {
		if command[field] != want {
			t.Errorf("%s is %v, want %v", field, command[field], want)
		}
	}
	if pool["currentPoolSize"] != 1.0 || pool["rollingMaxActiveThreads"] != 1.0 {
		t.Errorf("pool of %v, at most %v at once; want 1 and 1", pool["currentPoolSize"], pool["rollingMaxActiveThreads"])
	}

	open := func() bool { command, _ := shown(t, s, name); return command["isCircuitBreakerOpen"] == true }
	eventually(t, "the stream shows the open circuit", func() bool { _ = call(t, guard(broken)); return open() })
	eventually(t, "the stream shows that it closed", func() bool { _ = call(t, guard(fine)); return !open() })
}

// booked counts what hystrix-go booked of each command.
var booked sync.Map

type bookings struct{ n *atomic.Int64 }

func (b bookings) Update(metric.MetricResult) { b.n.Add(1) }
func (b bookings) Reset()                     {}

func countBookings(name string) metric.MetricCollector {
	n, _ := booked.LoadOrStore(name, new(atomic.Int64))
	return bookings{n.(*atomic.Int64)}
}

// Who reads the state of a circuit must not change what its next call meets.
// hystrix-go's IsOpen, which its own stream calls every second, opens circuits.
func TestLookingAtACircuitChangesNothing(t *testing.T) {
	s := NewHystrixStream()
	defer s.Close()
	// after is how the next call ends when somebody looked after failures.
	after := func(name string, guard endpoint.Middleware, look func()) error {
		const failures = 6 // one more than needed: hystrix-go books the last as it counts the one before
		gate := make(chan struct{})
		var began atomic.Int64
		var all sync.WaitGroup
		for range failures {
			all.Go(func() {
				_ = call(t, guard(func(context.Context, any) (any, error) {
					began.Add(1)
					<-gate
					return nil, errBoom
				}))
			})
		}
		eventually(t, "all calls run", func() bool { return began.Load() == failures })
		close(gate)
		all.Wait()
		eventually(t, "hystrix booked the failures", func() bool {
			n, known := booked.Load(name)
			return known && n.(*atomic.Int64).Load() == failures
		})
		look()
		// Opening now takes more than the next call; what is open stays open.
		hystrix.ConfigureCommand(name, hystrix.CommandConfig{RequestVolumeThreshold: 1 << 30, SleepWindow: 60_000})
		return call(t, guard(fine))
	}

	name := "looked-at" + unique()
	guard := Hystrix(HystrixSettings{Name: name, RequestVolume: 5, SleepWindow: time.Minute}, nil)
	if err := after(name, guard, func() {
		if command, _ := shown(t, s, name); command["isCircuitBreakerOpen"] != false || command["rollingCountFailure"] != 6.0 {
			t.Errorf("the stream shows %v", command)
		}
	}); err != nil {
		t.Errorf("looking at the stream opened the circuit: %v", err)
	}

	t.Run("stock", func(t *testing.T) {
		for _, looks := range []bool{false, true} {
			name := "stock-looked-at" + unique()
			hystrix.ConfigureCommand(name, hystrix.CommandConfig{RequestVolumeThreshold: 5, SleepWindow: 60_000})
			err := after(name, circuitbreaker.Hystrix(name), func() {
				if looks {
					isOpen(t, name)
				}
			})
			if opened := errors.Is(err, hystrix.ErrCircuitOpen); opened != looks {
				t.Errorf("somebody looked: %v; the next call: %v", looks, err)
			}
		}
	})
}
