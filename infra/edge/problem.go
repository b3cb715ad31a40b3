package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

const problemType = "application/problem+json"

// problem is the body of the edge's own failures (RFC 9457), alike to those of
// the services behind it.
type problem struct {
	Type    string     `json:"type"`
	Title   string     `json:"title"`
	Status  int        `json:"status"`
	Detail  string     `json:"detail"`
	Code    fault.Code `json:"code"`
	TraceID string     `json:"trace_id"`
}

const statusClientClosed = 499

// statusOf gives the status of the faults that the edge itself can have.
func statusOf(code fault.Code) int {
	switch code {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Overloaded, fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Deadline:
		return http.StatusGatewayTimeout
	case fault.Canceled:
		return statusClientClosed
	}
	return http.StatusInternalServerError
}

// refuse answers with err; status 0 means the code's own.
func (e *exchange) refuse(w http.ResponseWriter, status int, err error) {
	e.failed(err)
	code := fault.CodeOf(err)
	if status == 0 {
		status = statusOf(code)
	}
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	body, _ := json.Marshal(problem{ // strings and an int always marshal
		Type: "about:blank", Title: title, Status: status, Detail: fault.MessageOf(err), Code: code, TraceID: e.traceID,
	})
	h := w.Header()
	h.Set("Content-Type", problemType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		after := max(time.Second, fault.RetryAfterOf(err))
		h.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	e.setTries(h)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have left
}
