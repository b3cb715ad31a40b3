package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/services/fault"
)

// askedBy is the context of a request with the header, as an instance of service
// further in gets it: through a call and its metadata.
func askedBy(t *testing.T, header string) context.Context {
	t.Helper()
	var ctx context.Context
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(FaultHeader, header)
	w := httptest.NewRecorder()
	AskFault(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })).ServeHTTP(w, r)
	if ctx == nil {
		t.Fatalf("%q: %d %s", header, w.Code, w.Body)
	}
	var arrived context.Context
	_ = InjectB3()(ctx, "m", nil, nil, nil, func(ctx context.Context, m string, a, b any, cc *grpc.ClientConn, o ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		_, err := ReceiveFault()(metadata.NewIncomingContext(t.Context(), md), nil, nil, func(inner context.Context, _ any) (any, error) {
			arrived = inner
			return nil, nil
		})
		return err
	})
	return arrived
}

func TestAskedFaultIsOfOneRequestAndOneService(t *testing.T) {
	served := func(context.Context, any) (any, error) { return "served", nil }
	ctx := askedBy(t, "service=pricing, error=internal")
	for _, c := range []struct {
		service string // of the instance; "" where experiments are not allowed
		ctx     context.Context
		want    fault.Code
	}{
		{"pricing", ctx, fault.Internal},
		{"catalog", ctx, ""},
		{"", ctx, ""},
		{"pricing", t.Context(), ""},
	} {
		f := Faults{Service: c.service}
		_, err := f.Middleware(served)(c.ctx, nil)
		if got := fault.CodeOf(err); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("%q: %v, want %q", c.service, err, c.want)
		}
	}
	slow := askedBy(t, "service=pricing,latency=30ms")
	f := Faults{Service: "pricing"}
	began := time.Now()
	if _, err := f.Middleware(served)(slow, nil); err != nil || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%v after %v, want 30 ms", err, time.Since(began))
	}
}

func TestAskedNonsenseIsRefused(t *testing.T) {
	for _, text := range []string{"x", "service=pricing", "latency=1s", "service=pricing,latency=1h", "service=pricing,latency=-1s",
		"service=pricing,error=tired", "service=pricing,error=internal,rate=2", "service=pricing,error=internal,rate=NaN"} {
		if a, err := parseAsked(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

func TestBurnIsBoundedAndSeen(t *testing.T) {
	var f Faults
	post := func(body string, want int) {
		t.Helper()
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/faults", strings.NewReader(body)))
		if w.Code != want {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	post(`{"burn":65}`, http.StatusBadRequest)
	post(`{"burn":1,"burn_for":"11m"}`, http.StatusBadRequest)
	before := processorTime(t)
	post(`{"burn":1,"burn_for":"10m"}`, http.StatusOK)
	if b := f.body(); b.Burn != 1 {
		t.Fatalf("%+v", b)
	}
	for deadline := time.Now().Add(20 * time.Second); processorTime(t)-before < 200*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing burns")
		}
	}
	f.Clear()
	if b := f.body(); b.Burn != 0 {
		t.Fatalf("%+v after Clear", b)
	}
	post(`{"burn":1,"burn_for":"20ms"}`, http.StatusOK)
	for deadline := time.Now().Add(5 * time.Second); f.body().Burn != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it burns longer than it was told")
		}
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
