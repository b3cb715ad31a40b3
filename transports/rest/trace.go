package rest

import (
	"net/http"
	"strconv"
	"strings"

	zipkin "github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/idgenerator"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/propagation/b3"
	"github.com/openzipkin/zipkin-go/reporter"
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
		if parent, ok := extract(r.Header); ok {
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

// extract returns the caller's span from the B3 headers; the single header
// wins. zipkin-go's own parser is not used: it panics on a single header of 33
// to 48 characters, takes ids of any length and takes zeros for an id.
func extract(h http.Header) (model.SpanContext, bool) {
	if single := h.Get(b3.Context); single != "" {
		if sc, ok := parseSingle(single); ok {
			return sc, true
		}
	}
	return parseMulti(h.Get(b3.TraceID), h.Get(b3.SpanID), h.Get(b3.ParentSpanID), h.Get(b3.Sampled), h.Get(b3.Flags))
}

// parseSingle reads {trace}-{span}[-{sampled}[-{parent}]] or a lone {sampled}.
func parseSingle(header string) (model.SpanContext, bool) {
	parts := strings.SplitN(header, "-", 5)
	var trace, span, sampled, parent, flags string
	switch len(parts) {
	case 1:
		sampled = parts[0]
	case 2:
		trace, span = parts[0], parts[1]
	case 3:
		trace, span, sampled = parts[0], parts[1], parts[2]
	case 4:
		trace, span, sampled, parent = parts[0], parts[1], parts[2], parts[3]
	default:
		return model.SpanContext{}, false
	}
	if len(parts) != 1 && (trace == "" || span == "") || len(parts) != 2 && sampled == "" || len(parts) == 4 && parent == "" {
		return model.SpanContext{}, false
	}
	if sampled == "d" {
		sampled, flags = "", "1"
	}
	return parseMulti(trace, span, parent, sampled, flags)
}

// parseMulti reads the values of the X-B3-* headers; false when there are none
// or any is broken.
func parseMulti(trace, span, parent, sampled, flags string) (sc model.SpanContext, ok bool) {
	switch sampled {
	case "1", "true", "True":
		sc.Sampled = new(true)
	case "0", "false", "False":
		sc.Sampled = new(false)
	case "":
	default:
		return model.SpanContext{}, false
	}
	if flags == "1" {
		sc.Debug, sc.Sampled = true, nil
	}
	if trace == "" && span == "" && parent == "" {
		return sc, sc.Debug || sc.Sampled != nil
	}
	var high, low, own, up uint64
	ok = true
	if len(trace) == 32 {
		high, ok = parseID(trace[:16], true)
		trace = trace[16:]
	}
	var lowOK, ownOK, upOK bool
	low, lowOK = parseID(trace, high != 0)
	own, ownOK = parseID(span, false)
	if upOK = parent == ""; !upOK {
		up, upOK = parseID(parent, false)
		id := model.ID(up)
		sc.ParentID = &id
	}
	if !ok || !lowOK || !ownOK || !upOK {
		return model.SpanContext{}, false
	}
	sc.TraceID, sc.ID = model.TraceID{High: high, Low: low}, model.ID(own)
	return sc, true
}

// parseID reads 16 hexadecimal digits; zero is an id only as half of one.
func parseID(s string, zeroOK bool) (uint64, bool) {
	if len(s) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil && (n != 0 || zeroOK)
}
