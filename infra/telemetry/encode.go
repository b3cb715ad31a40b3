package telemetry

import (
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware/b3"
)

// appendSpan appends the Zipkin v2 JSON of s to b. It does what
// model.SpanModel's MarshalJSON does in a tenth of the time, and repairs what
// that one refuses: one odd span must not spoil its batch.
func appendSpan(b []byte, s *model.SpanModel) []byte {
	b = append(b, `{"traceId":"`...)
	b = b3.AppendTraceID(b, s.TraceID)
	if s.ParentID != nil && *s.ParentID != s.ID {
		b = b3.AppendSpanID(append(b, `","parentId":"`...), *s.ParentID)
	}
	b = b3.AppendSpanID(append(b, `","id":"`...), s.ID)
	b = append(b, '"')
	if s.Kind != model.Undetermined {
		b = appendField(b, "kind", string(s.Kind))
	}
	if s.Name != "" {
		b = appendField(b, "name", strings.ToLower(s.Name))
	}
	if us := s.Timestamp.UnixMicro(); !s.Timestamp.IsZero() && us > 0 {
		b = strconv.AppendInt(append(b, `,"timestamp":`...), us, 10)
	}
	if s.Duration > 0 { // Zipkin knows microseconds and takes 0 for absent
		b = strconv.AppendInt(append(b, `,"duration":`...), max(s.Duration.Round(time.Microsecond).Microseconds(), 1), 10)
	}
	b = appendEndpoint(b, "localEndpoint", s.LocalEndpoint)
	b = appendEndpoint(b, "remoteEndpoint", s.RemoteEndpoint)
	b = appendAnnotations(b, s.Annotations)
	b = appendTags(b, s.Tags)
	if s.Debug {
		b = append(b, `,"debug":true`...)
	}
	if s.Shared {
		b = append(b, `,"shared":true`...)
	}
	return append(b, '}')
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendString(b, value)
}

func appendEndpoint(b []byte, name string, e *model.Endpoint) []byte {
	if e.Empty() {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":{`...)
	start := len(b)
	if e.ServiceName != "" {
		b = appendField(b, "serviceName", strings.ToLower(e.ServiceName))
	}
	b = appendIP(b, "ipv4", e.IPv4)
	b = appendIP(b, "ipv6", e.IPv6)
	if e.Port != 0 {
		b = strconv.AppendUint(append(b, `,"port":`...), uint64(e.Port), 10)
	}
	// Every field began with a comma; the first one is too many.
	return append(append(b[:start], b[start+1:]...), '}')
}

func appendIP(b []byte, name string, ip net.IP) []byte {
	at, ok := netip.AddrFromSlice(ip)
	if !ok {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":"`...)
	return append(at.Unmap().AppendTo(b), '"')
}

func appendAnnotations(b []byte, all []model.Annotation) []byte {
	if len(all) == 0 {
		return b
	}
	b = append(b, `,"annotations":[`...)
	for i, a := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"timestamp":`...), a.Timestamp.UnixMicro(), 10)
		b = append(appendField(b, "value", a.Value), '}')
	}
	return append(b, ']')
}

func appendTags(b []byte, tags map[string]string) []byte {
	if len(tags) == 0 {
		return b
	}
	b = append(b, `,"tags":{`...)
	first := true
	for k, v := range tags {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, k), ':')
		b = appendString(b, v)
	}
	return append(b, '}')
}

// appendString quotes s; only what needs escaping takes the slow way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s) // replaces broken UTF-8
			if err != nil {
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
