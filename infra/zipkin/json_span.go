package zipkin

import (
	"bytes"
	"fmt"
)

// decodeJSON reads a list of spans and calls each for every one. The span is
// reused: each may keep nothing of it. A list that breaks off delivers the
// spans before the fault, so that the caller must not store before the end.
func decodeJSON(body []byte, each func(*span)) error {
	if err := decodeList(body, each); err != nil {
		return fmt.Errorf("%w reading List<Span> from json", err)
	}
	return nil
}

func decodeList(body []byte, each func(*span)) error {
	var r reader
	r.reset(body)
	if err := r.begin(tokBeginArray); err != nil {
		return err
	}
	var s span
	for {
		more, err := r.more()
		if err != nil || !more {
			return err
		}
		s.reset()
		if err := r.span(&s); err != nil {
			return err
		}
		each(&s)
	}
}

func (r *reader) span(s *span) error {
	if err := r.begin(tokBeginObject); err != nil {
		return err
	}
	for {
		more, err := r.more()
		if err != nil {
			return err
		}
		if !more {
			return s.finish()
		}
		if err := r.field(s); err != nil {
			return err
		}
	}
}

// field reads one field of a span. Only the two ids may not be null.
func (r *reader) field(s *span) (err error) {
	name := r.name()
	switch string(name) {
	case "traceId":
		s.hasTrace = true
		s.high, s.low, err = r.traceID()
		return err
	case "id":
		s.hasID = true
		s.id, err = readID(r, parseID)
		return err
	}
	if tok, err := r.peek(); err != nil || tok == tokNull {
		r.done()
		return err
	}
	switch string(name) {
	case "parentId":
		s.parent, err = readID(r, parseParentID)
	case "kind":
		s.kind, err = readID(r, parseKind)
	case "name":
		s.name, err = r.lower()
	case "timestamp":
		s.ts, err = r.integer("a long")
	case "duration":
		s.dur, err = r.integer("a long")
	case "localEndpoint":
		s.local, err = r.endpoint()
	case "remoteEndpoint":
		s.remote, err = r.endpoint()
	case "annotations":
		err = r.notes(s)
	case "tags":
		err = r.tags(s)
	case "debug":
		err = r.flag(&s.debug)
	case "shared":
		err = r.flag(&s.shared)
	default:
		err = r.skip()
	}
	return err
}

func (r *reader) traceID() (high, low uint64, err error) {
	text, err := r.string()
	if err != nil {
		return 0, 0, err
	}
	return parseTraceID(text)
}

func readID[T any](r *reader, parse func([]byte) (T, error)) (T, error) {
	text, err := r.string()
	if err != nil {
		return *new(T), err
	}
	return parse(text)
}

func (r *reader) lower() ([]byte, error) {
	text, err := r.string()
	return lower(text), err
}

// flag sets to on true; false changes nothing.
func (r *reader) flag(to *bool) error {
	v, err := r.bool()
	*to = *to || v
	return err
}

func (r *reader) endpoint() (e endpoint, err error) {
	if err := r.begin(tokBeginObject); err != nil {
		return e, err
	}
	for {
		more, err := r.more()
		if err != nil || !more {
			return e, err
		}
		name := r.name()
		if tok, err := r.peek(); err != nil {
			return e, err
		} else if tok == tokNull {
			r.done()
			continue
		}
		var text []byte
		switch string(name) {
		case "serviceName":
			e.service, err = r.lower()
		case "ipv4", "ipv6":
			if text, err = r.string(); err == nil {
				e.setIP(text)
			}
		case "port":
			var port int64
			if port, err = r.integer("an int"); err == nil {
				err = e.setPort(port)
			}
		default:
			err = r.skip()
		}
		if err != nil {
			return e, err
		}
	}
}

func (r *reader) notes(s *span) error {
	if err := r.begin(tokBeginArray); err != nil {
		return err
	}
	for {
		more, err := r.more()
		if err != nil || !more {
			return err
		}
		n, err := r.note()
		if err != nil {
			return err
		}
		s.notes = append(s.notes, n)
	}
}

func (r *reader) note() (n note, err error) {
	if err := r.begin(tokBeginObject); err != nil {
		return n, err
	}
	var hasTime, hasValue bool
	for {
		tok, err := r.peek()
		if err != nil {
			return n, err
		}
		if tok == tokEndObject {
			if !hasTime || !hasValue {
				return n, fmt.Errorf("Incomplete annotation at %s", r.path()) //nolint:staticcheck // Zipkin's own words
			}
			_, err = r.more() // leaves the object
			return n, err
		}
		switch string(r.name()) {
		case "timestamp":
			hasTime = true
			n.ts, err = r.integer("a long")
		case "value":
			hasValue = true
			n.value, err = r.string()
		default:
			err = r.skip()
		}
		if err != nil {
			return n, err
		}
	}
}

func (r *reader) tags(s *span) error {
	if err := r.begin(tokBeginObject); err != nil {
		return err
	}
	for {
		more, err := r.more()
		if err != nil || !more {
			return err
		}
		key := r.name()
		if tok, err := r.peek(); err != nil {
			return err
		} else if tok == tokNull {
			return fmt.Errorf("No value at %s", r.path()) //nolint:staticcheck // Zipkin's own words
		}
		value, err := r.string()
		if err != nil {
			return err
		}
		s.setTag(key, value)
	}
}

// looksLikeV1 finds the field that only the old format has.
func looksLikeV1(body []byte) bool { return bytes.Contains(body, []byte(`yAnnotations"`)) }
