// Package rest serves endpoints as JSON over HTTP. Every failure is a problem
// document (RFC 9457) with a code, a sentence and the trace id.
package rest

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/go-kit/kit/endpoint"
	kithttp "github.com/go-kit/kit/transport/http"
	zipkin "github.com/openzipkin/zipkin-go"

	"github.com/kitmesh/kitmesh/services/fault"
)

// DefaultMaxBody is how many bytes a request body may have unless the route
// says otherwise.
const DefaultMaxBody = 64 << 10

// Route binds a pattern of http.ServeMux with a method, such as
// "GET /v1/stock/{sku}", to an endpoint. Handle and Serve make one.
type Route struct {
	Pattern string

	endpoint endpoint.Endpoint
	decode   kithttp.DecodeRequestFunc
	answer   func(response any) (status int, location string)
	maxBody  int64
	handler  http.Handler // instead of the endpoint
}

// RouteOption changes one route.
type RouteOption func(*Route)

// MaxBody bounds the request body in bytes.
func MaxBody(bytes int64) RouteOption { return func(r *Route) { r.maxBody = bytes } }

// Answer chooses the status of a response, and the Location header unless the
// location is empty. Without it a response has status 200.
func Answer[Resp any](choose func(Resp) (status int, location string)) RouteOption {
	return func(r *Route) {
		r.answer = func(response any) (int, string) {
			resp, ok := response.(Resp)
			if !ok {
				return http.StatusOK, ""
			}
			return choose(resp)
		}
	}
}

// Handle describes a route whose request is a Req, a struct whose fields come
// from where their tags say: `path:"name"`, `query:"name"`, `header:"Name"`, or
// `json:"name"` for the body, which is read only when there is such a field. It
// panics when a tagged field has a type that no string can be read into.
func Handle[Req any](pattern string, e endpoint.Endpoint, opts ...RouteOption) Route {
	r := Route{Pattern: pattern, endpoint: e, decode: decoderOf[Req](), maxBody: DefaultMaxBody}
	for _, opt := range opts {
		opt(&r)
	}
	return r
}

// Serve describes a route with a handler of its own, such as a document.
func Serve(pattern string, h http.Handler) Route { return Route{Pattern: pattern, handler: h} }

// Check refuses a request that was decoded without a fault; its body can be
// read once more.
type Check func(*http.Request) error

type config struct {
	logger *slog.Logger
	check  Check
}

// Option changes a handler.
type Option func(*config)

// WithLogger sets where panics are logged; slog.Default() otherwise.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// WithCheck has every decoded request checked before its endpoint sees it.
func WithCheck(check Check) Option { return func(c *config) { c.check = check } }

// NewHandler serves the routes. Other paths and methods get problem documents
// as well. Trace goes around it.
func NewHandler(routes []Route, opts ...Option) http.Handler {
	c := config{logger: slog.Default()}
	for _, opt := range opts {
		opt(&c)
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, named(r.Pattern, r.serve(c)))
	}
	if !slices.ContainsFunc(routes, func(r Route) bool { return r.Pattern == "/" }) {
		mux.Handle("/", missing(mux))
	}
	return recovered(mux, c.logger)
}

// serve returns the route's handler: go-kit's server between our codecs.
func (r Route) serve(c config) http.Handler {
	if r.handler != nil {
		return r.handler
	}
	server := kithttp.NewServer(r.endpoint, checked(r.decode, c.check), r.encode,
		kithttp.ServerErrorEncoder(encodeError))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, r.maxBody)
		server.ServeHTTP(w, req)
	})
}

// named gives the request's span the name of its pattern.
func named(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if span := zipkin.SpanFromContext(r.Context()); span != nil {
			span.SetName(pattern)
		}
		next.ServeHTTP(w, r)
	})
}

// missing answers what no route matches: 405 when another method would, 404
// otherwise.
func missing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		} {
			probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(probe); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			WriteProblem(r.Context(), w, fault.New(fault.NotFound, "nothing is served at %q", r.URL.Path))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		WriteProblem(r.Context(), w, fault.New(fault.MethodNotAllowed,
			"%q does not take %s; use %s", r.URL.Path, r.Method, strings.Join(allowed, " or ")))
	})
}

// recovered turns a panic in a codec into a problem; panics of endpoints are
// the business of middleware.Recover.
func recovered(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		ctx := r.Context()
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
				panic(p)
			}
			logger.ErrorContext(ctx, "panic in the transport", "panic", p, "stack", string(debug.Stack()))
			if rec.status == 0 {
				WriteProblem(ctx, w, fault.New(fault.Internal, internalMessage))
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status that was sent; 0 is none yet.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // 1xx may be followed by the real one
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the writer below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
