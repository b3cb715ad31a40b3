package middleware

import (
	"strconv"
	"strings"

	"github.com/openzipkin/zipkin-go/model"
)

// The names B3 travels under, lower case as gRPC wants them.
const (
	b3TraceID  = "x-b3-traceid"
	b3SpanID   = "x-b3-spanid"
	b3ParentID = "x-b3-parentspanid"
	b3Sampled  = "x-b3-sampled"
	b3Flags    = "x-b3-flags"
	b3Single   = "b3"
)

// ExtractB3From reads a trace context through get, which returns "" for what
// is absent. The single header wins over the many. Headers that break the
// format are ignored as a whole: the trace starts anew, nothing fails.
// (zipkin-go's own ParseSingleHeader panics on some of them.)
func ExtractB3From(get func(key string) string) (model.SpanContext, bool) {
	if v := get(b3Single); v != "" {
		if sc, ok := parseB3Single(v); ok {
			return sc, true
		}
	}
	return parseB3(get(b3TraceID), get(b3SpanID), get(b3ParentID), get(b3Sampled), get(b3Flags))
}

// InjectB3To writes sc through set in the many-header form. It writes nothing
// for an empty context.
func InjectB3To(sc model.SpanContext, set func(key, value string)) {
	if !sc.TraceID.Empty() && sc.ID != 0 {
		set(b3TraceID, traceIDString(sc.TraceID))
		set(b3SpanID, hex16(uint64(sc.ID)))
		if sc.ParentID != nil {
			set(b3ParentID, hex16(uint64(*sc.ParentID)))
		}
	}
	switch {
	case sc.Debug: // implies sampled, which is then not said
		set(b3Flags, "1")
	case sc.Sampled != nil && *sc.Sampled:
		set(b3Sampled, "1")
	case sc.Sampled != nil:
		set(b3Sampled, "0")
	}
}

// parseB3Single reads {trace}-{span}[-{sampled}[-{parent}]] or {sampled} alone.
func parseB3Single(v string) (model.SpanContext, bool) {
	part := strings.Split(v, "-")
	if len(part) == 1 {
		return parseB3("", "", "", "", "", part[0])
	}
	if len(part) > 4 {
		return model.SpanContext{}, false
	}
	part = append(part, "", "")[:4]
	return parseB3(part[0], part[1], part[3], "", "", part[2])
}

// parseB3 reads the parts of a context. The optional last argument is the
// sampling state of the single header, where "d" means debug.
func parseB3(trace, span, parent, sampled, flags string, single ...string) (sc model.SpanContext, ok bool) {
	if len(single) == 1 {
		if sampled = single[0]; sampled == "d" {
			sampled, flags = "", "1"
		}
	}
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
		if !ok {
			return model.SpanContext{}, false
		}
		if p != 0 && p != id {
			sc.ParentID = new(model.ID(p))
		}
	}
	return sc, true
}

// parseTraceID reads 1 to 32 hex digits that are not all zero.
func parseTraceID(s string) (id model.TraceID, ok bool) {
	if len(s) > 16 {
		if id.High, ok = parseHex64(s[:len(s)-16]); !ok {
			return model.TraceID{}, false
		}
		s = s[len(s)-16:]
	}
	if id.Low, ok = parseHex64(s); !ok {
		return model.TraceID{}, false
	}
	return id, !id.Empty()
}

// parseHex64 reads 1 to 16 hex digits; unlike strconv it takes no sign.
func parseHex64(s string) (uint64, bool) {
	if len(s) == 0 || len(s) > 16 || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 64)
	return v, err == nil
}

const hexDigits = "0123456789abcdef"

func putHex16(b []byte, v uint64) {
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

// traceIDString is TraceID.String without fmt: it runs for every call.
func traceIDString(id model.TraceID) string {
	if id.High == 0 {
		return hex16(id.Low)
	}
	var b [32]byte
	putHex16(b[:16], id.High)
	putHex16(b[16:], id.Low)
	return string(b[:])
}
