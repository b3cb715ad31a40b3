package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	zipkin "github.com/openzipkin/zipkin-go"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/internal/foreign"
)

// ProblemType is the content type of every failure.
const ProblemType = "application/problem+json"

// internalMessage says what fault.MessageOf says of an error without a code.
const internalMessage = "an internal error; the trace and the log have the detail"

// statusClientClosed is what nginx made the custom status of a caller who
// left before the answer.
const statusClientClosed = 499

// statuses gives every fault its HTTP status.
var statuses = map[fault.Code]int{
	fault.Invalid:          http.StatusBadRequest,
	fault.NotFound:         http.StatusNotFound,
	fault.Conflict:         http.StatusConflict,
	fault.KeyReused:        http.StatusUnprocessableEntity,
	fault.Declined:         http.StatusPaymentRequired,
	fault.Denied:           http.StatusForbidden,
	fault.Limited:          http.StatusTooManyRequests,
	fault.Overloaded:       http.StatusServiceUnavailable,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Deadline:         http.StatusGatewayTimeout,
	fault.Canceled:         statusClientClosed,
	fault.MethodNotAllowed: http.StatusMethodNotAllowed,
	fault.TooLarge:         http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia: http.StatusUnsupportedMediaType,
	fault.Internal:         http.StatusInternalServerError,
}

// Problem is the body of every failure (RFC 9457).
type Problem struct {
	Type    string     `json:"type"` // always "about:blank": Code tells the kinds apart
	Title   string     `json:"title"`
	Status  int        `json:"status"`
	Detail  string     `json:"detail"`
	Code    fault.Code `json:"code"`
	TraceID string     `json:"trace_id"`
}

// OriginHeader names the service behind this one that a failure is of, for
// proxies that judge instances; the edge takes it off.
const OriginHeader = "X-Kitmesh-Origin"

// WriteProblem answers with err as a problem document, with Retry-After in
// whole seconds where coming back later helps. Only what fault.MessageOf shows
// leaves the process.
func WriteProblem(ctx context.Context, w http.ResponseWriter, err error) {
	err = foreign.Fault(err)
	code := fault.CodeOf(err)
	status := statuses[code]
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	traceID := w.Header().Get(TraceHeader)
	if span := zipkin.SpanFromContext(ctx); span != nil {
		zipkin.TagError.Set(span, string(code))
		if traceID == "" {
			traceID = traceIDOf(span.Context())
		}
	}
	if origin := fault.OriginOf(err); origin != "" {
		w.Header().Set(OriginHeader, origin)
	}
	if after := retryAfter(err, status); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(after))
	}
	body, jsonErr := json.Marshal(Problem{
		Type: "about:blank", Title: title, Status: status, Detail: fault.MessageOf(err), Code: code, TraceID: traceID,
	})
	if jsonErr != nil { // strings and an int always marshal
		panic(jsonErr)
	}
	write(w, status, ProblemType, append(body, '\n'))
}

// retryAfter returns whole seconds, rounded up; 0 is no header.
func retryAfter(err error, status int) int {
	after := fault.RetryAfterOf(err)
	if after > 0 {
		return int((after + time.Second - 1) / time.Second)
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		return 1
	}
	return 0
}

func encodeError(ctx context.Context, err error, w http.ResponseWriter) { WriteProblem(ctx, w, err) }

// encode writes a response. The body is complete before the first byte leaves,
// so that a failure can still become a problem.
func (r Route) encode(_ context.Context, w http.ResponseWriter, response any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(response); err != nil {
		return fmt.Errorf("rest: encode %T: %w", response, err)
	}
	status := http.StatusOK
	if r.answer != nil {
		var location string
		if status, location = r.answer(response); location != "" {
			w.Header().Set("Location", location)
		}
	}
	write(w, status, "application/json", body.Bytes())
	return nil
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // prices, stock and orders change under a cache
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may have left; nobody else is interested
}
