package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// maxLatency bounds injected latency, so that a typing error cannot hang an instance.
const maxLatency = time.Minute

// Fault injection, as operators and experiments set it.
type faultSettings struct {
	latency time.Duration // added to every request
	rate    float64       // share of requests that fail, 0 to 1
	code    fault.Code    // of those that fail
}

// Faults slows down and fails a share of the requests on purpose. Its zero
// value does nothing. Failures are injected before the service does anything,
// so that they never leave half of an effect behind.
type Faults struct {
	settings atomic.Pointer[faultSettings] // nil: off
}

// Set injects latency into every request and failures with code into a share
// of them (0 to 1). Zero values switch off; an empty code means Unavailable.
func (f *Faults) Set(latency time.Duration, errorRate float64, code fault.Code) error {
	if code == "" {
		code = fault.Unavailable
	}
	switch {
	case latency < 0 || latency > maxLatency:
		return fault.New(fault.Invalid, "latency %v is out of range: use 0s to %v", latency, maxLatency)
	case !(errorRate >= 0 && errorRate <= 1):
		return fault.New(fault.Invalid, "error_rate %v is out of range: use 0 to 1", errorRate)
	case !slices.Contains(fault.Codes(), code):
		return fault.New(fault.Invalid, "code %q is unknown: use one of %v", code, fault.Codes())
	}
	if latency == 0 && errorRate == 0 {
		f.Clear()
		return nil
	}
	f.settings.Store(&faultSettings{latency, errorRate, code})
	return nil
}

// Clear stops injecting.
func (f *Faults) Clear() { f.settings.Store(nil) }

// Middleware injects what is set into an endpoint.
func (f *Faults) Middleware(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		s := f.settings.Load()
		if s == nil {
			return next(ctx, request)
		}
		if s.latency > 0 {
			if err := pause(ctx, s.latency); err != nil {
				return nil, err
			}
		}
		if s.rate > 0 && rand.Float64() < s.rate {
			return nil, fault.New(s.code, "this failure was injected on purpose")
		}
		return next(ctx, request)
	}
}

// faultsBody is the JSON of /faults.
type faultsBody struct {
	Latency   string     `json:"latency"`
	ErrorRate float64    `json:"error_rate"`
	Code      fault.Code `json:"code,omitempty"`
}

// Handler serves /faults: GET shows, POST replaces, DELETE clears, such as
// {"latency":"200ms","error_rate":0.5,"code":"unavailable"}.
func (f *Faults) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodDelete:
			f.Clear()
		case http.MethodPost:
			if err := f.post(w, r); err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": fault.MessageOf(err)})
				return
			}
		default:
			w.Header().Set("Allow", "GET, POST, DELETE")
			answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "use GET, POST or DELETE"})
			return
		}
		answer(w, http.StatusOK, f.body())
	})
}

func (f *Faults) post(w http.ResponseWriter, r *http.Request) error {
	var b faultsBody
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return fault.Wrap(fault.Invalid, err, `send JSON such as {"latency":"200ms","error_rate":0.5}: %v`, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "send one JSON object and nothing after it")
	}
	var latency time.Duration
	if b.Latency != "" {
		var err error
		if latency, err = time.ParseDuration(b.Latency); err != nil {
			return fault.Wrap(fault.Invalid, err, "latency %q is no duration: use one such as 200ms", b.Latency)
		}
	}
	return f.Set(latency, b.ErrorRate, b.Code)
}

func (f *Faults) body() faultsBody {
	s := f.settings.Load()
	if s == nil {
		return faultsBody{Latency: "0s"}
	}
	return faultsBody{Latency: s.latency.String(), ErrorRate: s.rate, Code: s.code}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(w, err) // our own types always encode; the client may be gone
	}
}
