package middleware

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/fault"
)

var _ endpoints.Wrapper = ServerRing{}.Wrap

func TestPeer(t *testing.T) {
	if _, ok := PeerFrom(t.Context()); ok {
		t.Error("a peer outside of a try")
	}
	type key struct{}
	want := Peer{Service: "catalog", Instance: "catalog-1", Try: 1}
	ctx, cancel := context.WithCancel(WithPeer(context.WithValue(t.Context(), key{}, 7), want))
	if got, ok := PeerFrom(ctx); !ok || got != want || ctx.Value(key{}) != 7 {
		t.Errorf("got %+v, %v", got, ok)
	}
	cancel()
	second := WithPeer(ctx, Peer{Try: 2})
	if got, _ := PeerFrom(second); got.Try != 2 || second.Err() == nil {
		t.Errorf("got %+v, %v", got, second.Err())
	}
}

func TestRecover(t *testing.T) {
	err := call(t, Recover(func(context.Context, any) (any, error) { panic("secret") }))
	wantCode(t, err, fault.Internal)
	p, ok := errors.AsType[*PanicError](err)
	if !ok || p.Value != "secret" || !bytes.Contains(p.Stack, []byte("TestRecover")) {
		t.Errorf("panic %+v", p)
	}
	if strings.Contains(fault.MessageOf(err), "secret") {
		t.Error("the caller sees the panic")
	}
}

func TestLog(t *testing.T) {
	for name, tt := range map[string]struct {
		level slog.Level
		e     endpoint.Endpoint
		want  []string // parts of the line; none: no line
	}{
		"failure":        {slog.LevelInfo, broken, []string{"level=WARN", "method=a.B", "code=internal", "error=boom", "took="}},
		"caller's fault": {slog.LevelInfo, failing(fault.New(fault.NotFound, "no")), nil},
		"in detail":      {slog.LevelDebug, failing(fault.New(fault.NotFound, "no")), []string{"level=DEBUG", "code=not_found"}},
		"success":        {slog.LevelInfo, fine, nil},
		"success, debug": {slog.LevelDebug, fine, []string{"level=DEBUG", "code=ok"}},
		"panic":          {slog.LevelInfo, Recover(func(context.Context, any) (any, error) { panic("oops") }), []string{"level=WARN", "oops", "stack=", "ring_test.go"}},
	} {
		var out bytes.Buffer
		e := Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: tt.level})), "a.B")(tt.e)
		_ = call(t, e)
		if lines := strings.Count(out.String(), "\n"); lines != min(len(tt.want), 1) {
			t.Errorf("%s: %d lines: %s", name, lines, out.String())
		}
		for _, part := range tt.want {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: no %s in %s", name, part, out.String())
			}
		}
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := Limit(10, 5)
		a, b := limit(fine), limit(fine) // one bucket for both
		for i := range 5 {
			if err := call(t, []endpoint.Endpoint{a, b}[i%2]); err != nil {
				t.Fatal(err)
			}
		}
		err := call(t, a)
		wantCode(t, err, fault.Limited)
		wait := fault.RetryAfterOf(err)
		if wait != 100*time.Millisecond {
			t.Errorf("retry after %v, want 100ms", wait)
		}
		for range 50 { // asking in vain takes nothing from those who wait
			wantCode(t, call(t, b), fault.Limited)
		}
		time.Sleep(wait / 4)
		if again := fault.RetryAfterOf(call(t, b)); again != 75*time.Millisecond {
			t.Errorf("a quarter later: retry after %v, want 75ms", again)
		}
		time.Sleep(wait * 3 / 4)
		if err := call(t, b); err != nil {
			t.Errorf("after the time it named: %v", err)
		}
	})
	free := Limit(0, 0)(fine)
	for range 1000 {
		if err := call(t, free); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := func(ctx context.Context, _ any) (any, error) {
			at, ok := ctx.Deadline()
			if !ok {
				return nil, nil
			}
			return time.Until(at), nil
		}
		for _, tt := range []struct {
			caller, ring time.Duration
			want         any
		}{
			{0, time.Second, time.Second},
			{time.Minute, time.Second, time.Second},
			{time.Millisecond, time.Second, time.Millisecond},
			{time.Minute, 0, time.Minute},
			{0, 0, nil},
		} {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tt.caller > 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.caller)
			}
			if got, err := Deadline(tt.ring)(left)(ctx, nil); got != tt.want || err != nil {
				t.Errorf("caller %v, ring %v: %v, %v", tt.caller, tt.ring, got, err)
			}
			cancel()
		}
		began := time.Now()
		err := call(t, Deadline(time.Second)(func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() }))
		wantCode(t, err, fault.Deadline)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
		never := func(context.Context, any) (any, error) { t.Error("began too late"); return nil, nil }
		late, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_, err = Deadline(time.Second)(never)(late, nil)
		wantCode(t, err, fault.Deadline)
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err = Deadline(0)(never)(gone, nil)
		wantCode(t, err, fault.Canceled)
	})
}

func TestWorkHasAKnownCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := Work(10*time.Millisecond, 4, 100) // 400 requests per second
		a, b := work(fine), work(fine)            // the same workers
		began := time.Now()
		var all sync.WaitGroup
		for i := range 80 {
			all.Go(func() {
				if err := call(t, []endpoint.Endpoint{a, b}[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("80 requests took %v, want 200ms", took)
		}
	})
}

func TestWorkShedsAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := Work(10*time.Millisecond, 1, 2)(fine)
		var shed atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := call(t, e); err != nil {
					wantCode(t, err, fault.Overloaded)
					if fault.RetryAfterOf(err) != 20*time.Millisecond {
						t.Errorf("retry after %v", fault.RetryAfterOf(err))
					}
					shed.Add(1)
				}
			})
		}
		all.Wait()
		if shed.Load() != 7 { // one works, two wait
			t.Errorf("%d shed, want 7", shed.Load())
		}
		// Who leaves the queue or the bench makes room.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		for range 3 {
			all.Go(func() {
				_, err := e(ctx, nil)
				wantCode(t, err, fault.Deadline)
			})
		}
		all.Wait()
		if err := call(t, e); err != nil {
			t.Error(err)
		}
		if err := call(t, Work(time.Millisecond, 0, 0)(fine)); err != nil {
			t.Error(err)
		}
		if err := call(t, Work(0, 1, 0)(fine)); err != nil {
			t.Error(err)
		}
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Faults
		e := f.Middleware(fine)
		if err := call(t, e); err != nil {
			t.Fatal(err)
		}
		if err := f.Set(200*time.Millisecond, 0.5, fault.Internal); err != nil {
			t.Fatal(err)
		}
		began, failed := time.Now(), 0
		for range 1000 {
			if err := call(t, e); err != nil {
				wantCode(t, err, fault.Internal)
				failed++
			}
		}
		if took := time.Since(began); took != 200*time.Second || failed < 400 || failed > 600 {
			t.Errorf("%d of 1000 failed, in %v", failed, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := e(ctx, nil)
		wantCode(t, err, fault.Deadline)
	})
}

func TestFaultsHandler(t *testing.T) {
	var f Faults
	for _, tt := range []struct {
		method, body string
		status       int
		answer       string
	}{
		{"GET", "", 200, `{"latency":"0s","error_rate":0}`},
		{"POST", `{"latency":"200ms","error_rate":0.5}`, 200, `{"latency":"200ms","error_rate":0.5,"code":"unavailable"}`},
		{"GET", "", 200, `{"latency":"200ms","error_rate":0.5,"code":"unavailable"}`},
		{"POST", `{"latency":"soon"}`, 400, `"soon\" is no duration`},
		{"POST", `{"latency":"-1s"}`, 400, `out of range`},
		{"POST", `{"latency":"2h"}`, 400, `out of range`},
		{"POST", `{"error_rate":1.5}`, 400, `out of range`},
		{"POST", `{"error_rate":1,"code":"nope"}`, 400, `is unknown: use one of`},
		{"POST", `{"delay":"1s"}`, 400, `unknown field`},
		{"POST", `{}{}`, 400, `one JSON object`},
		{"POST", strings.Repeat(" ", 5000) + `{}`, 400, `too large`},
		{"PUT", "", 405, `GET, POST or DELETE`},
		{"GET", "", 200, `"200ms"`}, // mistakes changed nothing
		{"DELETE", "", 200, `{"latency":"0s","error_rate":0}`},
		{"POST", `{"error_rate":1,"code":"internal"}`, 200, `"internal"`},
		{"POST", `{}`, 200, `{"latency":"0s","error_rate":0}`},
	} {
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, httptest.NewRequest(tt.method, "/faults", strings.NewReader(tt.body)))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
			t.Errorf("%s %.40s: %d %s, want %d %s", tt.method, tt.body, w.Code, w.Body, tt.status, tt.answer)
		}
		if tt.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
			t.Error("no Allow header")
		}
	}
}

// The order of the server ring, seen from what each part leaves behind.
func TestServerRingOrder(t *testing.T) {
	r := new(spans)
	var out bytes.Buffer
	m := NewMetrics(nil)
	ring := ServerRing{
		Tracer: tracerTo(t, r, zipkin.AlwaysSample), Metrics: m,
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Limit:  Limit(0.001, 2), Deadline: time.Second, Faults: new(Faults), Work: Work(time.Microsecond, 1, 1),
	}
	e := ring.Wrap("a.B", func(ctx context.Context, _ any) (any, error) {
		if _, ok := ctx.Deadline(); !ok || TraceID(ctx) == "" {
			t.Error("no deadline or no trace inside")
		}
		panic("oops")
	})
	wantCode(t, call(t, e), fault.Internal)
	if err := ring.Faults.Set(0, 1, fault.Unavailable); err != nil {
		t.Fatal(err)
	}
	wantCode(t, call(t, e), fault.Unavailable)
	wantCode(t, call(t, e), fault.Limited) // refused before the faults, seen by all outside
	var codes []string
	for _, s := range r.take(t, 3) {
		codes = append(codes, s.Tags[TagCode])
	}
	if want := []string{"internal", "unavailable", "limited"}; !slices.Equal(codes, want) {
		t.Errorf("traced %q, want %q", codes, want)
	}
	for _, code := range codes {
		if n := testutil.ToFloat64(m.serverRequests.WithLabelValues("a.B", code)); n != 1 || !strings.Contains(out.String(), "code="+code) {
			t.Errorf("%s: counted %v, logged %s", code, n, out.String())
		}
	}
	if err := call(t, ServerRing{}.Wrap("a.B", fine)); err != nil {
		t.Errorf("the empty ring: %v", err)
	}
}

func TestClientRingOrder(t *testing.T) {
	m := NewMetrics(nil)
	guarded := false
	ring := ClientRing{Target: "a", Metrics: m, Deadline: time.Second, Guard: func(method string) endpoint.Middleware {
		if method != "a.B" {
			return nil
		}
		return func(next endpoint.Endpoint) endpoint.Endpoint {
			return func(ctx context.Context, request any) (any, error) {
				_, guarded = ctx.Deadline()
				_, _ = next(ctx, request)
				return "instead", nil
			}
		}
	}}
	if got, err := ring.Call("a.B", broken)(t.Context(), nil); got != "instead" || err != nil || !guarded {
		t.Errorf("got %v, %v; within the deadline: %v", got, err, guarded)
	}
	if n := testutil.ToFloat64(m.clientRequests.WithLabelValues("a", "a.B", "ok")); n != 1 {
		t.Error("measured inside the guard")
	}
	if err := call(t, ring.Call("a.C", broken)); !errors.Is(err, errBoom) {
		t.Error(err)
	}
}
