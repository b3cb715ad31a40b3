package zipkin

import (
	"strconv"
	"unicode/utf8"
)

// appendSpan writes the canonical JSON of a finished span: the one in which it
// is stored, compared and answered.
func appendSpan(b []byte, s *span) []byte {
	b = append(b, `{"traceId":"`...)
	if s.high != 0 {
		b = appendHex(b, s.high)
	}
	b = appendHex(b, s.low)
	if s.parent != 0 {
		b = append(b, `","parentId":"`...)
		b = appendHex(b, s.parent)
	}
	b = append(b, `","id":"`...)
	b = appendHex(b, s.id)
	b = append(b, '"')
	if s.kind != kindNone {
		b = append(b, `,"kind":"`...)
		b = append(append(b, kindNames[s.kind]...), '"')
	}
	if len(s.name) > 0 {
		b = appendQuoted(append(b, `,"name":`...), s.name)
	}
	if s.ts != 0 {
		b = strconv.AppendInt(append(b, `,"timestamp":`...), s.ts, 10)
	}
	if s.dur != 0 {
		b = strconv.AppendInt(append(b, `,"duration":`...), s.dur, 10)
	}
	if s.local.known() {
		b = appendEndpoint(append(b, `,"localEndpoint":`...), &s.local)
	}
	if s.remote.known() {
		b = appendEndpoint(append(b, `,"remoteEndpoint":`...), &s.remote)
	}
	b = appendNotes(b, s.notes)
	b = appendTags(b, s.tags)
	if s.debug {
		b = append(b, `,"debug":true`...)
	}
	if s.shared {
		b = append(b, `,"shared":true`...)
	}
	return append(b, '}')
}

func appendNotes(b []byte, notes []note) []byte {
	for i, n := range notes {
		if i == 0 {
			b = append(b, `,"annotations":[`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"timestamp":`...), n.ts, 10)
		b = appendQuoted(append(b, `,"value":`...), n.value)
		b = append(b, '}')
	}
	if len(notes) > 0 {
		b = append(b, ']')
	}
	return b
}

func appendTags(b []byte, tags []tag) []byte {
	for i, t := range tags {
		if i == 0 {
			b = append(b, `,"tags":{`...)
		} else {
			b = append(b, ',')
		}
		b = appendTag(b, t.key, t.value)
	}
	if len(tags) > 0 {
		b = append(b, '}')
	}
	return b
}

func appendTag(b, key, value []byte) []byte {
	b = append(appendQuoted(b, key), ':')
	return appendQuoted(b, value)
}

func appendEndpoint(b []byte, e *endpoint) []byte {
	sep := byte('{')
	field := func(name string) {
		b = append(append(append(b, sep, '"'), name...), '"', ':')
		sep = ','
	}
	if len(e.service) > 0 {
		field("serviceName")
		b = appendQuoted(b, e.service)
	}
	if e.ipv4 != "" {
		field("ipv4")
		b = append(append(append(b, '"'), e.ipv4...), '"')
	}
	if e.ipv6 != "" {
		field("ipv6")
		b = append(append(append(b, '"'), e.ipv6...), '"')
	}
	if e.port != 0 {
		field("port")
		b = strconv.AppendUint(b, uint64(e.port), 10)
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&0xf])
	}
	return b
}

// appendQuoted writes text, which is valid UTF-8, as a JSON string.
func appendQuoted(b, text []byte) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x80 {
			i++
			continue
		}
		if c < 0x80 {
			b = appendEscape(append(b, text[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == '\u2028' || r == '\u2029' { // line ends to JavaScript
			b = append(append(b, text[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, text[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
