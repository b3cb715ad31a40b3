package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// handler takes the public's requests: trace, admit, check, read, pass on.
type handler struct {
	limits  Limits
	tracer  *zipkin.Tracer
	log     *slog.Logger
	metrics *metrics
	places  *middleware.Shed
	enter   endpoint.Endpoint // receive, if there is a place for the guest
	proxy   *httputil.ReverseProxy
}

func newHandler(o Options, t *target.Target, transport http.RoundTripper, tracer *zipkin.Tracer, m *metrics) *handler {
	h := &handler{
		limits: o.Limits, tracer: tracer, log: o.Logger, metrics: m,
		places: middleware.NewShed(middleware.ShedSettings{Fixed: o.Limits.InFlight}),
	}
	h.enter = h.places.Middleware("edge")(h.receive)
	h.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite(o.Service),
		Transport: &tripper{
			target: t, transport: transport, tracer: tracer, service: o.Service,
			readTry: o.Limits.ReadTry, writeTry: o.Limits.WriteTry,
		},
		ModifyResponse: h.answered,
		ErrorHandler:   h.failed,
		ErrorLog:       log.New(io.Discard, "", 0), // broken clients are in the metrics; the exchange is logged
	}
	return h
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ctx := begin(h.tracer, r)
	out := &recorder{ResponseWriter: w}
	out.Header().Set(TraceHeader, e.traceID)
	h.metrics.inFlight.Inc()
	defer func() {
		h.metrics.inFlight.Dec()
		h.metrics.done(out.status, time.Since(e.start), e.tries)
		e.end(ctx, h.log, out.status)
	}()
	ctx = middleware.WithPriority(ctx, priorityOf(r))
	if _, err := h.enter(ctx, &guest{out, r, e}); err != nil {
		e.refuse(out, 0, errFull)
	}
}

// guest is a request that asks for a place.
type guest struct {
	out *recorder
	r   *http.Request
	e   *exchange
}

// errFull is told to those who find no place.
var errFull = &fault.Error{Code: fault.Overloaded, Message: "the shop is full; please come back in a moment", RetryAfter: time.Second}

// priorityOf says who is let in first. Only the route decides; a guest may step
// back by himself.
func priorityOf(r *http.Request) middleware.Priority {
	switch {
	case middleware.ParsePriority(r.Header.Get(middleware.PriorityHeader)) == middleware.Background:
		return middleware.Background
	case strings.HasPrefix(r.URL.Path, "/v1/orders"):
		return middleware.Critical
	}
	return middleware.Normal
}

// receive is an endpoint.Endpoint that takes a guest and answers him itself.
func (h *handler) receive(ctx context.Context, request any) (any, error) {
	g := request.(*guest)
	h.serve(ctx, g.out, g.r, g.e)
	return nil, nil
}

// serve answers a request that has a place.
func (h *handler) serve(ctx context.Context, out *recorder, r *http.Request, e *exchange) {
	if status, err := h.check(r); err != nil {
		out.Header().Set("Connection", "close") // the rest of the request is not read
		if fault.CodeOf(err) == fault.MethodNotAllowed {
			out.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
		}
		e.refuse(out, status, err)
		return
	}
	if status, err := h.read(out, r, e); err != nil {
		out.Header().Set("Connection", "close")
		e.refuse(out, status, err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, h.limits.Deadline)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, int64(len(e.body)), nil
	if len(e.body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(e.body))
	}
	h.proxy.ServeHTTP(out, r)
}

// check refuses what no instance needs to see.
func (h *handler) check(r *http.Request) (status int, err error) {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return 0, fault.New(fault.MethodNotAllowed, "this shop does not do %s", r.Method)
	case headerSize(r) > h.limits.Header:
		return http.StatusRequestHeaderFieldsTooLarge,
			fault.New(fault.TooLarge, "the request's headers are over %d bytes", h.limits.Header)
	case !strings.HasPrefix(r.URL.Path, "/"):
		return 0, fault.New(fault.Invalid, "the request names no path")
	}
	return 0, nil
}

func (h *handler) tooLarge() error {
	return fault.New(fault.TooLarge, "the body is over %d bytes", h.limits.Body)
}

func headerSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Host) + len("  HTTP/1.1\r\nHost: \r\n\r\n")
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return size
}

// read takes in the whole body before any instance is asked: a slow client
// must not hold one, and a body that is to be sent again must be complete.
func (h *handler) read(w *recorder, r *http.Request, e *exchange) (status int, err error) {
	if r.ContentLength == 0 {
		return 0, nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.limits.BodyTime)) // only test recorders cannot
	if r.ContentLength > h.limits.Body {
		h.discard(r)
		return 0, h.tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, h.limits.Body+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout,
			fault.Wrap(fault.Deadline, err, "the body did not arrive within %v", h.limits.BodyTime)
	case err != nil:
		return 0, fault.Wrap(fault.Invalid, err, "the body did not arrive whole")
	case int64(len(body)) > h.limits.Body:
		h.discard(r)
		return 0, h.tooLarge()
	}
	// Left standing, the deadline would end the request's context when it passes.
	// After a failure it stays: net/http still reads what is left of the body.
	_ = control.SetReadDeadline(time.Time{})
	e.body = body
	return 0, nil
}

// discard reads on a little: a client that is still sending when the connection
// closes gets a reset instead of the answer. Clients that asked first (Expect:
// 100-continue) have not sent anything.
func (h *handler) discard(r *http.Request) {
	if r.Header.Get("Expect") == "" {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, discardFactor*h.limits.Body))
	}
}

// discardFactor times the body limit is read of a body that is refused.
const discardFactor = 8

// rewrite makes the request that instances see. Hop-by-hop and X-Forwarded-*
// headers of the client are gone already; what else a client might forge goes
// here. B3 is set per try.
func rewrite(service string) func(*httputil.ProxyRequest) {
	forged := []string{
		TraceHeader, TriesHeader, middleware.PriorityHeader, "X-Real-Ip", "Upgrade", "Connection", "Expect",
		"B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
	}
	return func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: "http", Host: service})
		p.Out.Host = p.In.Host
		p.SetXForwarded()
		for _, name := range forged {
			p.Out.Header.Del(name)
		}
		if priorityOf(p.In) == middleware.Background {
			p.Out.Header.Set(middleware.PriorityHeader, middleware.Background.String())
		}
	}
}

// answered marks an instance's answer with the edge's own headers.
func (h *handler) answered(resp *http.Response) error {
	resp.Header.Del(TraceHeader) // set already, to the same
	exchangeFrom(resp.Request.Context()).setTries(resp.Header)
	return nil
}

// failed answers when no instance did.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	exchangeFrom(r.Context()).refuse(w, 0, err)
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the first final status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implies 200, as net/http has it.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
