package middleware

import (
	"cmp"
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

// maxBurners and maxBurn bound what burns processor time.
const (
	maxBurners = 64
	maxBurn    = 10 * time.Minute
)

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
	// Service is who a request that asks for a fault of its own must name; empty
	// ignores such requests.
	Service string

	settings atomic.Pointer[faultSettings] // nil: off
	fire     fire
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
		f.settings.Store(nil)
		return nil
	}
	f.settings.Store(&faultSettings{latency, errorRate, code})
	return nil
}

// Clear stops injecting, and burning.
func (f *Faults) Clear() {
	f.settings.Store(nil)
	f.fire.set(0, 0)
}

// Middleware injects what is set into an endpoint, and what a request asks for.
func (f *Faults) Middleware(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		if err := f.settings.Load().strike(ctx); err != nil {
			return nil, err
		}
		if f.Service == "" {
			return next(ctx, request)
		}
		if a := askedFrom(ctx); a != nil && a.service == f.Service {
			if err := a.faults.strike(ctx); err != nil {
				return nil, err
			}
		}
		return next(ctx, request)
	}
}

// strike delays or fails one request; nil settings do neither.
func (s *faultSettings) strike(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if s.latency > 0 {
		if err := pause(ctx, s.latency); err != nil {
			return err
		}
	}
	if s.code != "" && s.rate > 0 && rand.Float64() < s.rate {
		return fault.New(s.code, "this failure was injected on purpose")
	}
	return nil
}

// faultsBody is the JSON of /faults.
type faultsBody struct {
	Latency   string     `json:"latency"`
	ErrorRate float64    `json:"error_rate"`
	Code      fault.Code `json:"code,omitempty"`
	Burn      int        `json:"burn,omitempty"`     // goroutines that burn processor time
	BurnFor   string     `json:"burn_for,omitempty"` // at most 10m, also if left out
}

// Handler serves /faults: GET shows, POST replaces, DELETE clears, such as
// {"latency":"200ms","error_rate":0.5,"code":"unavailable","burn":2,"burn_for":"30s"}.
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
	return f.SetJSON(http.MaxBytesReader(w, r.Body, 4<<10))
}

// SetJSON replaces everything by what /faults takes.
func (f *Faults) SetJSON(text io.Reader) error {
	var b faultsBody
	d := json.NewDecoder(text)
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return fault.Wrap(fault.Invalid, err, `send JSON such as {"latency":"200ms","error_rate":0.5}: %v`, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "send one JSON object and nothing after it")
	}
	latency, err := duration("latency", b.Latency)
	if err != nil {
		return err
	}
	burn, err := duration("burn_for", b.BurnFor)
	switch {
	case err != nil:
		return err
	case b.Burn < 0 || b.Burn > maxBurners:
		return fault.New(fault.Invalid, "burn %d is out of range: use 0 to %d", b.Burn, maxBurners)
	case burn < 0 || burn > maxBurn:
		return fault.New(fault.Invalid, "burn_for %v is out of range: use 0s to %v", burn, maxBurn)
	}
	if err := f.Set(latency, b.ErrorRate, b.Code); err != nil {
		return err
	}
	f.fire.set(b.Burn, cmp.Or(burn, maxBurn))
	return nil
}

func duration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fault.Wrap(fault.Invalid, err, "%s %q is no duration: use one such as 200ms", name, text)
	}
	return d, nil
}

func (f *Faults) body() faultsBody {
	b := faultsBody{Latency: "0s"}
	if s := f.settings.Load(); s != nil {
		b.Latency, b.ErrorRate, b.Code = s.latency.String(), s.rate, s.code
	}
	if workers, left := f.fire.burning(); workers > 0 {
		b.Burn, b.BurnFor = workers, left.String()
	}
	return b
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(w, err) // our own types always encode; the client may be gone
	}
}
