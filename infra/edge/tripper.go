package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// maxKept is how many bytes of an answer are read before any is passed on. An
// instance that dies within them is as good as one that never answered.
const maxKept = 1 << 20

// newTransport keeps connections to instances open. It may itself repeat a
// request whose kept connection was already dead, when that is safe.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // encodings are between the client and the service
	}
}

// tripper is the round trip over the mesh: each try goes to an instance that
// the target picks, and nothing is passed on before it is known to be final.
type tripper struct {
	target    *target.Target
	transport http.RoundTripper
	tracer    *zipkin.Tracer
	service   string

	readTry, writeTry time.Duration // of one try that is not the last
}

// maxTries is how many instances are asked for one request.
const maxTries = 3

// errSlow ends a try that took too long while another instance may be faster.
var errSlow = errors.New("no answer in the time of one try")

// patience is how long the n-th try of r may take; 0 is all the time there is.
func (t *tripper) patience(r *http.Request, n int) time.Duration {
	switch {
	case n >= maxTries || !repeatable(r):
		return 0
	case r.Method == http.MethodPost:
		return t.writeTry
	}
	return t.readTry
}

// RoundTrip returns the first final answer, or the last one there was.
func (t *tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	e := exchangeFrom(r.Context())
	var kept *http.Response
	call := target.Call{Method: t.service + "." + e.name, Idempotent: repeatable(r)}
	traced := middleware.TraceClient(t.tracer, e.name)
	err := t.target.Do(r.Context(), call, func(ctx context.Context, m *target.Member) error {
		e.tries++
		_, err := traced(func(ctx context.Context, _ any) (any, error) {
			resp, err := t.try(ctx, r, m.Addr(), e) //nolint:bodyclose // kept for the caller, or discarded by the next try
			if err != nil {
				return nil, err
			}
			discard(kept)
			kept = resp
			return nil, faultOf(resp)
		})(ctx, nil)
		return err
	})
	switch {
	case kept != nil:
		e.err = err
		return kept, nil
	case err == nil: // Do and try disagree: our bug
		err = fault.New(fault.Internal, "the request was lost at the front door")
	}
	return nil, err
}

// repeatable reports whether a second instance may see the request: because it
// only reads, or because its key makes the second time the same as the first.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// try asks one instance. The answer's first maxKept bytes are here when it
// returns; a longer answer goes on after the try's own time limit is over.
func (t *tripper) try(ctx context.Context, r *http.Request, addr string, e *exchange) (*http.Response, error) {
	own, cancel := context.WithCancelCause(r.Context()) // outlives the try for a long answer
	if limit := t.patience(r, e.tries); limit > 0 {
		defer time.AfterFunc(limit, func() { cancel(errSlow) }).Stop()
	}
	resp, err := t.transport.RoundTrip(t.request(own, ctx, r, addr, e.body))
	if err != nil {
		err = broken(own, err)
		cancel(nil)
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxKept))
	if err != nil {
		_ = resp.Body.Close()
		err = broken(own, err)
		cancel(nil)
		return nil, err
	}
	if len(head) < maxKept {
		_ = resp.Body.Close()
		cancel(nil)
		resp.Body = io.NopCloser(bytes.NewReader(head))
	} else {
		resp.Body = &long{Reader: io.MultiReader(bytes.NewReader(head), resp.Body), body: resp.Body, cancel: cancel}
	}
	// ReverseProxy reads the exchange from the request of the answer.
	resp.Request = r
	return resp, nil
}

// request is r as the instance at addr gets it, in the trace of the try.
func (t *tripper) request(own, try context.Context, r *http.Request, addr string, body []byte) *http.Request {
	out := r.Clone(own)
	out.URL.Host = addr
	out.Body, out.GetBody = nil, nil
	if len(body) > 0 {
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
	}
	if span := zipkin.SpanFromContext(try); span != nil {
		b3.Inject(span.Context(), out.Header.Set)
	}
	return out
}

// broken gives the failure of a connection its fault. The end of the caller's
// own time keeps its identity: it says nothing about the instance.
func broken(own context.Context, err error) error {
	switch cause := context.Cause(own); {
	case errors.Is(cause, errSlow):
		return fault.Wrap(fault.Unavailable, errSlow, "the shop did not answer in time")
	case cause != nil:
		return cause
	}
	return fault.Wrap(fault.Unavailable, err,
		"the connection to the shop broke; the request may have been served: repeat it with the same Idempotency-Key")
}

// faultOf reads an instance's answer as the mesh does: what another instance
// may do better, and what is the instance's own failure. A shed or limited
// request is final, and so is an answer that is merely too late or bad news.
func faultOf(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusInternalServerError:
	default:
		return nil
	}
	var p problem
	if strings.HasPrefix(resp.Header.Get("Content-Type"), problemType) {
		data, _ := io.ReadAll(resp.Body) // in memory
		resp.Body = io.NopCloser(bytes.NewReader(data))
		_ = json.Unmarshal(data, &p)
	}
	code := p.Code
	if code == "" {
		switch resp.StatusCode {
		case http.StatusServiceUnavailable:
			code = fault.Overloaded // says nothing of itself: assume it sheds
		case http.StatusTooManyRequests:
			code = fault.Limited
		default:
			code = fault.Internal
		}
	}
	origin := resp.Header.Get(originHeader)
	resp.Header.Del(originHeader)
	return &fault.Error{Code: code, Message: p.Detail, Origin: origin, Cause: errors.New(resp.Status)}
}

func discard(resp *http.Response) {
	if resp != nil {
		_ = resp.Body.Close()
	}
}

// long is the body of an answer that did not fit into memory.
type long struct {
	io.Reader
	body   io.Closer
	cancel context.CancelCauseFunc
}

// Close ends the exchange with the instance.
func (l *long) Close() error {
	err := l.body.Close()
	l.cancel(nil)
	return err
}
