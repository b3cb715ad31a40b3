package zipkin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// decodeProto3 reads zipkin.proto3.ListOfSpans and calls each for every span,
// under the conditions of decodeJSON.
func decodeProto3(body []byte, each func(*span)) error {
	var s span
	m := message{b: body}
	for m.pos < len(m.b) {
		m.varint() // the key: a list holds nothing but spans
		s.reset()
		part := m.bytes()
		if m.err == nil {
			m.err = protoSpan(part, &s)
		}
		if m.err != nil {
			return fmt.Errorf("%w reading List<Span> from proto3", m.err)
		}
		each(&s)
	}
	return nil
}

func protoSpan(body []byte, s *span) (err error) {
	m := message{b: body}
	for m.more() {
		switch m.key() {
		case 1<<3 | wireBytes:
			s.hasTrace = true
			s.high, s.low, err = protoTraceID(m.bytes())
		case 2<<3 | wireBytes:
			s.parent, err = protoID(m.bytes())
		case 3<<3 | wireBytes:
			s.hasID = true
			if s.id, err = protoID(m.bytes()); err == nil && s.id == 0 {
				err = errors.New("id is all zeros")
			}
		case 4<<3 | wireVarint:
			if k := m.varint(); k > 0 && k < uint64(len(kindNames)) {
				s.kind = kind(k) //nolint:gosec // bounded
			}
		case 5<<3 | wireBytes:
			s.name = lower(m.text())
		case 6<<3 | wireFixed64:
			s.ts = int64(m.fixed64()) //nolint:gosec // as the format has it
		case 7<<3 | wireVarint:
			s.dur = int64(m.varint()) //nolint:gosec // as the format has it
		case 8<<3 | wireBytes:
			s.local, err = protoEndpoint(m.bytes())
		case 9<<3 | wireBytes:
			s.remote, err = protoEndpoint(m.bytes())
		case 10<<3 | wireBytes:
			protoNote(&m, s)
		case 11<<3 | wireBytes:
			protoTag(&m, s)
		case 12<<3 | wireVarint:
			s.debug = m.bool() || s.debug
		case 13<<3 | wireVarint:
			s.shared = m.bool() || s.shared
		default:
			m.skip()
		}
		if m.err != nil {
			break
		}
		if err != nil {
			return err
		}
	}
	if m.err != nil {
		return m.err
	}
	return s.finish()
}

func protoTraceID(b []byte) (high, low uint64, err error) {
	switch {
	case len(b) > 16:
		return 0, 0, errors.New("traceId.length > 32")
	case len(b) > 8:
		high = bigEndian(b[:len(b)-8])
		b = b[len(b)-8:]
	case len(b) == 0:
		return 0, 0, errors.New("traceId is empty")
	}
	if low = bigEndian(b); high == 0 && low == 0 {
		err = errors.New("traceId is all zeros")
	}
	return high, low, err
}

func protoID(b []byte) (uint64, error) {
	if len(b) > 8 {
		return 0, errors.New("id.length > 16")
	}
	return bigEndian(b), nil
}

func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func protoEndpoint(body []byte) (e endpoint, err error) {
	m := message{b: body}
	for m.more() {
		switch m.key() {
		case 1<<3 | wireBytes:
			e.service = lower(m.text())
		case 2<<3 | wireBytes, 3<<3 | wireBytes:
			e.setIPBytes(m.bytes())
		case 4<<3 | wireVarint:
			err = e.setPort(int64(int32(m.varint()))) //nolint:gosec // an int32 in the format
		default:
			m.skip()
		}
		if err != nil {
			return e, err
		}
	}
	return e, m.err
}

// protoNote adds an annotation; one without time or text is left out.
func protoNote(outer *message, s *span) {
	m := message{b: outer.bytes()}
	var n note
	for m.more() {
		switch m.key() {
		case 1<<3 | wireFixed64:
			n.ts = int64(m.fixed64()) //nolint:gosec // as the format has it
		case 2<<3 | wireBytes:
			n.value = m.text()
		default:
			m.skip()
		}
	}
	if n.ts != 0 && len(n.value) > 0 {
		s.notes = append(s.notes, n)
	}
	outer.fail(m.err)
}

// protoTag adds a tag; its value may be empty, its key may not.
func protoTag(outer *message, s *span) {
	m := message{b: outer.bytes()}
	var t tag
	for m.more() {
		switch m.key() {
		case 1<<3 | wireBytes:
			t.key = m.text()
		case 2<<3 | wireBytes:
			t.value = m.text()
		default:
			m.skip()
		}
	}
	if len(t.key) > 0 {
		s.setTag(t.key, t.value)
	}
	outer.fail(m.err)
}

// The wire types of protobuf; groups are no longer one.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// message reads the fields of one protobuf message; after a fault more is
// false and err is set.
type message struct {
	b    []byte
	pos  int
	num  uint64
	wire uint64
	err  error
}

func (m *message) key() uint64 { return m.num<<3 | m.wire }

func (m *message) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// more reads the key of the next field.
func (m *message) more() bool {
	if m.err != nil || m.pos == len(m.b) {
		return false
	}
	key := m.varint()
	m.num, m.wire = key>>3, key&7
	switch {
	case m.err != nil:
	case m.num == 0:
		m.err = fmt.Errorf("Malformed: fieldNumber was zero at byte %d", m.pos) //nolint:staticcheck // Zipkin's own words
	case m.wire > wireBytes && m.wire != wireFixed32:
		m.err = fmt.Errorf("Malformed: invalid wireType %d at byte %d", m.wire, m.pos) //nolint:staticcheck // Zipkin's own words
	}
	return m.err == nil
}

func (m *message) varint() uint64 {
	v, n := binary.Uvarint(m.b[m.pos:])
	if n <= 0 {
		m.truncated(uint64(len(m.b)-m.pos) + 1)
		return 0
	}
	m.pos += n
	return v
}

func (m *message) take(n uint64) []byte {
	if n > math.MaxInt32 || n > uint64(len(m.b)-m.pos) {
		m.truncated(n)
		return nil
	}
	b := m.b[m.pos : m.pos+int(n)]
	m.pos += int(n)
	return b
}

func (m *message) truncated(n uint64) {
	m.fail(fmt.Errorf("Truncated: length %d > bytes available %d", n, len(m.b)-m.pos)) //nolint:staticcheck // Zipkin's own words
}

func (m *message) bytes() []byte {
	n := m.varint()
	if m.err != nil {
		return nil
	}
	return m.take(n)
}

func (m *message) text() []byte {
	b := m.bytes()
	if utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(b, []byte("\uFFFD"))
}

func (m *message) fixed64() uint64 {
	if b := m.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (m *message) bool() bool {
	v := m.varint()
	if v > 1 {
		m.fail(fmt.Errorf("Malformed: invalid boolean value at byte %d", m.pos)) //nolint:staticcheck // Zipkin's own words
	}
	return v == 1
}

func (m *message) skip() {
	switch m.wire {
	case wireVarint:
		m.varint()
	case wireFixed64:
		m.take(8)
	case wireBytes:
		m.bytes()
	case wireFixed32:
		m.take(4)
	}
}
