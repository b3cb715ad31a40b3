package edge

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// The headers that the edge sets on every answer.
const (
	TraceHeader  = "X-Trace-Id"
	originHeader = "X-Kitmesh-Origin" // from the gateway: the failure is of a service behind it
	TriesHeader  = "X-Kitmesh-Tries"  // instances that were asked; 0: the edge answered by itself
)

// exchange is one request on its way through the edge.
type exchange struct {
	name    string // of its spans: "GET /v1/products"
	traceID string
	span    zipkin.Span
	body    []byte // complete, so that it can be sent again
	tries   int
	err     error // why the edge or the last try failed
	start   time.Time
}

type exchangeKey struct{}

func exchangeFrom(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// begin starts the SERVER span, as part of the client's trace when valid B3
// headers name one. Every exchange has a trace id, recorded or not: without a
// Zipkin the id still ties the answer to the logs.
func begin(tracer *zipkin.Tracer, r *http.Request) (*exchange, context.Context) {
	e := &exchange{name: spanName(r), start: time.Now()}
	options := []zipkin.SpanOption{zipkin.Kind(model.Server)}
	parent, known := b3.Extract(r.Header.Get)
	if known {
		options = append(options, zipkin.Parent(parent))
	}
	e.span = tracer.StartSpan(e.name, options...)
	zipkin.TagHTTPMethod.Set(e.span, methodName(r.Method))
	zipkin.TagHTTPPath.Set(e.span, shortPath(r.URL.Path))
	ctx := context.WithValue(r.Context(), exchangeKey{}, e)
	sc := e.span.Context()
	if !sc.TraceID.Empty() {
		ctx = zipkin.NewContext(ctx, e.span)
	} else { // a tracer that records nothing makes no ids
		if sc = parent; sc.TraceID.Empty() {
			sc = newTrace()
		}
		sc.Debug, sc.Sampled = false, new(false)
		ctx = middleware.WithRemote(ctx, sc)
	}
	e.traceID = sc.TraceID.String()
	return e, ctx
}

func newTrace() model.SpanContext {
	id := model.TraceID{High: rand.Uint64() | 1, Low: rand.Uint64() | 1}
	return model.SpanContext{TraceID: id, ID: model.ID(id.Low)}
}

// failed notes why the exchange fails, for the span and the log.
func (e *exchange) failed(err error) {
	e.err = err
	e.span.Tag(middleware.TagCode, string(fault.CodeOf(err)))
	zipkin.TagError.Set(e.span, string(fault.CodeOf(err)))
}

// end closes the span and writes the log: failures that customers see at warn,
// their own mistakes and all else at debug.
func (e *exchange) end(ctx context.Context, log *slog.Logger, status int) {
	zipkin.TagHTTPStatusCode.Set(e.span, strconv.Itoa(status))
	if status >= http.StatusInternalServerError && e.err == nil {
		zipkin.TagError.Set(e.span, strconv.Itoa(status))
	}
	e.span.Finish()
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", e.name), slog.Int("status", status), slog.Int("tries", e.tries),
		slog.Duration("took", time.Since(e.start)), // the logger adds the trace id
	}
	if e.err != nil {
		attrs = append(attrs, slog.String("error", e.err.Error()))
	}
	log.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
}

func (e *exchange) setTries(h http.Header) { h.Set(TriesHeader, strconv.Itoa(e.tries)) }

// spanName keeps ids and made-up paths out of span names: "GET /v1/products".
func spanName(r *http.Request) string {
	method := methodName(r.Method)
	parts := strings.SplitN(r.URL.Path, "/", 4)
	if len(parts) < 3 || parts[0] != "" || parts[1] != "v1" || !isWord(parts[2]) {
		return method
	}
	return method + " /v1/" + parts[2]
}

// isWord reports whether s may be a collection of the API.
func isWord(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// methodName keeps made-up methods out of span names and labels.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "OTHER"
}

func shortPath(path string) string {
	const most = 200
	path = strings.ToValidUTF8(path, "\uFFFD")
	if len(path) > most {
		path = strings.ToValidUTF8(path[:most], "") + "..."
	}
	return path
}
