package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	kithttp "github.com/go-kit/kit/transport/http"
	"github.com/sony/gobreaker"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rest"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

func failing(err error) endpoint.Endpoint {
	return func(context.Context, any) (any, error) { return nil, err }
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	want := map[fault.Code]int{
		fault.Invalid: 400, fault.NotFound: 404, fault.Conflict: 409, fault.KeyReused: 422, fault.Declined: 402,
		fault.Denied: 403, fault.Limited: 429, fault.Overloaded: 503, fault.Unavailable: 503, fault.Deadline: 504,
		fault.Canceled: 499, fault.MethodNotAllowed: 405, fault.TooLarge: 413, fault.UnsupportedMedia: 415, fault.Internal: 500,
	}
	for _, code := range fault.Codes() {
		err := fmt.Errorf("outer: %w", fault.Wrap(code, errors.New("secret"), "because of %s", code))
		w := post(handler(failing(err)), "/v1/things/1", "{}")
		p := problem(t, w)
		if w.Code != want[code] || p.Code != code || p.Detail != "because of "+string(code) {
			t.Errorf("%s: %d %+v, want %d", code, w.Code, p, want[code])
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s leaks its cause: %s", code, w.Body)
		}
		after := w.Header().Get("Retry-After")
		if comesBack := w.Code == 429 || w.Code == 503; comesBack != (after == "1") {
			t.Errorf("%s: %d with Retry-After %q", code, w.Code, after)
		}
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for after, want := range map[time.Duration]string{
		time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60",
	} {
		w := post(handler(failing(&fault.Error{Code: fault.Conflict, Message: "busy", RetryAfter: after})), "/v1/things/1", "{}")
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", after, got, want)
		}
	}
}

// TestLibraryErrors: errors of the libraries in the rings get the status they
// deserve. With the error encoder of kit's transport/http each is a 500 that
// shows its text to the caller.
func TestLibraryErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want int
	}{
		{"kit's rate limit", ratelimit.ErrLimited, 429},
		{"gobreaker open", gobreaker.ErrOpenState, 503},
		{"gobreaker half open", gobreaker.ErrTooManyRequests, 503},
		{"hystrix open", hystrix.ErrCircuitOpen, 503},
		{"hystrix full", hystrix.ErrMaxConcurrency, 429},
		{"hystrix timeout", hystrix.ErrTimeout, 504},
		{"deadline", context.DeadlineExceeded, 504},
		{"canceled", context.Canceled, 499},
		{"status", status.Error(codes.NotFound, "no tea at 10.0.0.1"), 404},
		{"status of ours", rpc.Status(fault.New(fault.KeyReused, "another body")), 422},
		{"unknown", errors.New("dial 10.0.0.1"), 500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := fmt.Errorf("catalog: %w", tc.err)
			w := post(handler(failing(err)), "/v1/things/1", "{}")
			if p := problem(t, w); w.Code != tc.want || strings.Contains(p.Detail, "10.0.0.1") {
				t.Errorf("ours: %d %+v, want %d", w.Code, p, tc.want)
			}
			stock := kithttp.NewServer(failing(err), kithttp.NopRequestDecoder, kithttp.EncodeJSONResponse)
			if w := post(stock, "/v1/things/1", "{}"); w.Code != http.StatusInternalServerError {
				t.Errorf("stock: %d; kit is fixed", w.Code)
			}
		})
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	h := handler(echo)
	for _, tc := range []struct {
		method, path string
		code         fault.Code
		allow        string
	}{
		{"GET", "/nowhere", fault.NotFound, ""},
		{"GET", "/v1/things/", fault.NotFound, ""},
		{"GET", "/v1/things/1/2", fault.NotFound, ""},
		{"POST", "/", fault.NotFound, ""},
		{"DELETE", "/v1/things/1", fault.MethodNotAllowed, "GET, HEAD, POST"},
		{"OPTIONS", "/v1/things/1", fault.MethodNotAllowed, "GET, HEAD, POST"},
		{"BREW", "/v1/things/1", fault.MethodNotAllowed, "GET, HEAD, POST"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if p := problem(t, w); p.Code != tc.code || w.Header().Get("Allow") != tc.allow {
			t.Errorf("%s %s: %q, Allow %q", tc.method, tc.path, p.Code, w.Header().Get("Allow"))
		}
	}
}

// TestHead: a HEAD is a GET without its body.
func TestHead(t *testing.T) {
	server := httptest.NewServer(handler(echo))
	defer server.Close()
	for path, want := range map[string]int{"/v1/things/1": 200, "/nowhere": 404} {
		resp, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || len(body) != 0 || resp.StatusCode != want || resp.ContentLength <= 0 || resp.Header.Get("X-Trace-Id") == "" {
			t.Errorf("HEAD %s: %d, %d of %d bytes, %v", path, resp.StatusCode, len(body), resp.ContentLength, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	h := handler(echo, rest.Answer(func(r request) (int, string) { return http.StatusCreated, "/v1/things/" + r.ID }))
	w := post(h, "/v1/things/7", `{"name":"<b>"}`)
	if w.Code != http.StatusCreated || w.Header().Get("Location") != "/v1/things/7" || !strings.Contains(w.Body.String(), `"<b>"`) {
		t.Errorf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("browsers may guess the content type")
	}
}

// TestPanics end in a problem without detail and a line in the log; the
// process lives on. So does a response that cannot be encoded.
func TestPanics(t *testing.T) {
	var log strings.Builder
	boom := func(context.Context, any) (any, error) { panic("secret") }
	unencodable := func(context.Context, any) (any, error) { return func() {}, nil }
	for name, e := range map[string]endpoint.Endpoint{"panic": boom, "response": unencodable} {
		h := rest.Trace(nil, rest.NewHandler([]rest.Route{rest.Handle[request]("POST /v1/things/{id}", e)},
			rest.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
		w := post(h, "/v1/things/1", "{}")
		if p := problem(t, w); p.Code != fault.Internal || strings.Contains(w.Body.String(), "secret") || strings.Contains(p.Detail, "func") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if !strings.Contains(log.String(), "panic=secret") || !strings.Contains(log.String(), "rest_test.go") {
		t.Errorf("the log does not say where: %s", log.String())
	}
}

// TestAbort: a handler that aborts on purpose closes the connection.
func TestAbort(t *testing.T) {
	h := rest.NewHandler([]rest.Route{rest.Serve("GET /", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // the identical value
			t.Errorf("panic %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}
