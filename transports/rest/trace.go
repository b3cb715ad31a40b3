package rest

import (
	"net/http"
	"strconv"
	"strings"

	zipkin "github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/idgenerator"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/reporter"

	"github.com/kitmesh/kitmesh/middleware/b3"
)

// TraceHeader carries the trace id of every answer. On the way in it is
// replaced by the server's own, so that a decoder can rely on it.
const TraceHeader = "X-Trace-Id"

// Trace starts the SERVER span of every request, as part of the caller's trace
// when the B3 headers (single or multiple) name one; broken headers are
// ignored. The span is named after the matched pattern of NewHandler, or the
// bare method when there is none. A nil tracer reports nothing but still gives
// every answer its trace id.
func Trace(tracer *zipkin.Tracer, next http.Handler) http.Handler {
	if tracer == nil {
		tracer = silentTracer()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opts := []zipkin.SpanOption{zipkin.Kind(model.Server)}
		if parent, ok := b3.Extract(r.Header.Get); ok {
			opts = append(opts, zipkin.Parent(parent))
		}
		span := tracer.StartSpan(methodName(r.Method), opts...)
		defer span.Finish()
		zipkin.TagHTTPMethod.Set(span, methodName(r.Method))
		zipkin.TagHTTPPath.Set(span, short(strings.ToValidUTF8(r.URL.Path, "\uFFFD")))
		id := traceIDOf(span.Context())
		w.Header().Set(TraceHeader, id)
		r = r.WithContext(zipkin.NewContext(r.Context(), span))
		r.Header.Set(TraceHeader, id)

		rec := &recorder{ResponseWriter: w}
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		zipkin.TagHTTPStatusCode.Set(span, strconv.Itoa(rec.status))
		// WriteProblem has tagged its code already, which says more.
		if rec.status >= http.StatusBadRequest && w.Header().Get("Content-Type") != ProblemType {
			zipkin.TagError.Set(span, strconv.Itoa(rec.status))
		}
	})
}

// methodName keeps made-up methods out of the span names.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "UNKNOWN"
}

func silentTracer() *zipkin.Tracer {
	t, err := zipkin.NewTracer(reporter.NewNoopReporter(), zipkin.WithTraceID128Bit(true))
	if err != nil { // only options can fail, and this one does not
		panic(err)
	}
	return t
}

// ids fills in for a tracer that makes none because it has no reporter.
var ids = idgenerator.NewRandom128()

func traceIDOf(sc model.SpanContext) string {
	if sc.TraceID.Empty() {
		return ids.TraceID().String()
	}
	return sc.TraceID.String()
}
