// Package b3 reads and writes Zipkin's trace context, B3, in headers and
// metadata. It stands alone so that transports can use it, too.
package b3

import (
	"strconv"
	"strings"

	"github.com/openzipkin/zipkin-go/model"
)

// The names B3 travels under, lower case as gRPC wants them.
const (
	traceID  = "x-b3-traceid"
	spanID   = "x-b3-spanid"
	parentID = "x-b3-parentspanid"
	flags    = "x-b3-flags"

	Sampled = "x-b3-sampled" // the decision alone: "1" or "0"
	Header  = "b3"           // all in one, see Single
)

// The decisions of all that is read. They are never written to.
var yes, no = new(true), new(false)

// Extract reads a trace context through get, which returns "" for what
// is absent. The single header wins over the many. Headers that break the
// format are ignored as a whole: the trace starts anew, nothing fails.
// (zipkin-go's own ParseSingleHeader panics on some of them.)
func Extract(get func(key string) string) (model.SpanContext, bool) {
	if v := get(Header); v != "" {
		if sc, ok := ParseSingle(v); ok {
			return sc, true
		}
	}
	return parse(get(traceID), get(spanID), get(parentID), get(Sampled), get(flags))
}

// Inject writes sc through set in the many-header form. It writes nothing
// for an empty context.
func Inject(sc model.SpanContext, set func(key, value string)) {
	if !sc.TraceID.Empty() && sc.ID != 0 {
		set(traceID, TraceID(sc.TraceID))
		set(spanID, hex16(uint64(sc.ID)))
		if sc.ParentID != nil {
			set(parentID, hex16(uint64(*sc.ParentID)))
		}
	}
	switch {
	case sc.Debug: // implies sampled, which is then not said
		set(flags, "1")
	case sc.Sampled != nil && *sc.Sampled:
		set(Sampled, "1")
	case sc.Sampled != nil:
		set(Sampled, "0")
	}
}

// Single returns sc as ParseSingle reads it, "" for an empty context. The
// parent needs a decision before it, and stays out without one.
func Single(sc model.SpanContext) string {
	var decision byte
	switch {
	case sc.Debug:
		decision = 'd'
	case sc.Sampled != nil && *sc.Sampled:
		decision = '1'
	case sc.Sampled != nil:
		decision = '0'
	}
	var room [32 + 1 + 16 + 2 + 1 + 16]byte
	b := room[:0]
	if sc.TraceID.Empty() || sc.ID == 0 {
		if decision != 0 {
			b = append(b, decision)
		}
		return string(b)
	}
	b = AppendSpanID(append(AppendTraceID(b, sc.TraceID), '-'), sc.ID)
	if decision != 0 {
		b = append(b, '-', decision)
		if sc.ParentID != nil {
			b = AppendSpanID(append(b, '-'), *sc.ParentID)
		}
	}
	return string(b)
}

// ParseSingle reads {trace}-{span}[-{sampled}[-{parent}]] or {sampled} alone,
// where sampled may be "d" for debug.
func ParseSingle(v string) (model.SpanContext, bool) {
	var part [4]string
	n := 0
	for more := true; more; n++ {
		if n == len(part) {
			return model.SpanContext{}, false
		}
		if part[n], v, more = strings.Cut(v, "-"); part[n] == "" {
			return model.SpanContext{}, false
		}
	}
	trace, span, sampled, parent, flags := part[0], part[1], part[2], part[3], ""
	if n == 1 {
		trace, sampled = "", part[0]
	}
	if sampled == "d" {
		sampled, flags = "", "1"
	}
	return parse(trace, span, parent, sampled, flags)
}

// parse reads the values of the many headers.
func parse(trace, span, parent, sampled, flags string) (sc model.SpanContext, ok bool) {
	switch sampled {
	case "1", "true", "True":
		sc.Sampled = yes
	case "0", "false", "False":
		sc.Sampled = no
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
	if sc.TraceID, ok = parseTraceID(trace); !ok {
		return model.SpanContext{}, false
	}
	id, ok := parseHex64(span)
	if !ok || id == 0 {
		return model.SpanContext{}, false
	}
	sc.ID = model.ID(id)
	if parent != "" {
		p, ok := parseHex64(parent)
		if !ok || p == 0 {
			return model.SpanContext{}, false
		}
		if p != id {
			sc.ParentID = new(model.ID(p))
		}
	}
	return sc, true
}

// parseTraceID reads 16 or 32 hex digits that are not all zero.
func parseTraceID(s string) (id model.TraceID, ok bool) {
	if len(s) == 32 {
		if id.High, ok = parseHex64(s[:16]); !ok {
			return model.TraceID{}, false
		}
		s = s[16:]
	}
	if id.Low, ok = parseHex64(s); !ok {
		return model.TraceID{}, false
	}
	return id, !id.Empty()
}

// parseHex64 reads 16 hex digits; unlike strconv it takes no sign.
func parseHex64(s string) (uint64, bool) {
	if len(s) != 16 || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 64)
	return v, err == nil
}

const hexDigits = "0123456789abcdef"

func putHex16(b []byte, v uint64) {
	_ = b[15]
	for i := 15; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

func hex16(v uint64) string {
	var b [16]byte
	putHex16(b[:], v)
	return string(b[:])
}

// TraceID returns 16 or 32 hex digits: model.TraceID.String without fmt, since it
// runs for every call.
func TraceID(id model.TraceID) string {
	var b [32]byte
	return string(AppendTraceID(b[:0], id))
}

// AppendTraceID appends the 16 or 32 digits of id to b.
func AppendTraceID(b []byte, id model.TraceID) []byte {
	if id.High != 0 {
		b = AppendSpanID(b, model.ID(id.High))
	}
	return AppendSpanID(b, model.ID(id.Low))
}

// AppendSpanID appends the 16 digits of id to b.
func AppendSpanID(b []byte, id model.ID) []byte {
	n := len(b)
	b = append(b, "0000000000000000"...)
	putHex16(b[n:], uint64(id))
	return b
}
