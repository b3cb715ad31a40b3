package zipkin

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reader pulls tokens out of JSON without building a tree and without copying
// strings that need no unescaping. It accepts what Zipkin's own reader accepts:
// numbers where text is wanted, quoted numbers, and anything after the end.
type reader struct {
	b      []byte
	pos    int
	tok    token
	text   []byte // of a name, string, number or boolean
	peeked bool
	stack  []scope // where we are, innermost last
}

type token uint8

const (
	tokEOF token = iota
	tokBeginObject
	tokEndObject
	tokBeginArray
	tokEndArray
	tokName
	tokString
	tokNumber
	tokBool
	tokNull
)

var tokenNames = [...]string{"END_DOCUMENT", "BEGIN_OBJECT", "END_OBJECT", "BEGIN_ARRAY", "END_ARRAY",
	"NAME", "STRING", "NUMBER", "BOOLEAN", "NULL"}

// scope is an object or an array that is open.
type scope struct {
	array bool
	index int    // of the element of an array
	name  []byte // of the field of an object
	begun bool   // an element was seen
	value bool   // in an object: a name was read, its value comes next
}

// maxDepth bounds what nested input can cost; Zipkin's own reader has the same.
const maxDepth = 255

// errMalformed is what a user is told of any break of JSON's grammar.
var errMalformed = errors.New("Malformed")

func (r *reader) reset(b []byte) {
	*r = reader{b: b, stack: r.stack[:0]}
}

// peek says what comes next.
func (r *reader) peek() (token, error) {
	if r.peeked {
		return r.tok, nil
	}
	if err := r.separator(); err != nil {
		return 0, err
	}
	if !r.peeked {
		if err := r.value(); err != nil {
			return 0, err
		}
	}
	r.peeked = true
	return r.tok, nil
}

// separator reads the comma, colon, name or closing bracket that is due. If
// that is the next token, peeked is set.
func (r *reader) separator() error {
	if len(r.stack) == 0 {
		return nil
	}
	s := &r.stack[len(r.stack)-1]
	c, err := r.nonSpace()
	if err != nil {
		return err
	}
	if s.value { // what comes next is the value
		if c != ':' {
			return errMalformed
		}
		r.pos++
		return nil
	}
	end, tok := byte('}'), tokEndObject
	if s.array {
		end, tok = ']', tokEndArray
	}
	if c == end {
		r.pos++
		r.tok, r.peeked = tok, true
		return nil
	}
	if s.begun {
		if c != ',' {
			return errMalformed
		}
		r.pos++
		if c, err = r.nonSpace(); err != nil {
			return err
		}
	}
	s.begun = true
	if s.array {
		return nil
	}
	if c != '"' {
		return errMalformed
	}
	r.pos++
	if r.text, err = r.str(); err != nil {
		return err
	}
	r.tok, r.peeked = tokName, true
	return nil
}

// value reads the beginning of a value, whole if it is not nested.
func (r *reader) value() error {
	c, err := r.nonSpace()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		r.pos++
		r.tok = tokBeginObject
	case '[':
		r.pos++
		r.tok = tokBeginArray
	case '"':
		r.pos++ // the text is read when it is asked for
		r.tok = tokString
	case 't', 'T', 'f', 'F', 'n', 'N':
		return r.keyword()
	default:
		return r.number()
	}
	return nil
}

func (r *reader) keyword() error {
	word, tok := "true", tokBool
	switch r.b[r.pos] | 0x20 {
	case 'f':
		word = "false"
	case 'n':
		word, tok = "null", tokNull
	}
	end := r.pos + len(word)
	if end > len(r.b) || !strings.EqualFold(string(r.b[r.pos:end]), word) || end < len(r.b) && literal(r.b[end]) {
		return errMalformed
	}
	r.text, r.tok, r.pos = r.b[r.pos:end], tok, end
	return nil
}

// literal reports what may not follow a number or keyword directly.
func literal(c byte) bool {
	return c > ' ' && strings.IndexByte(`,:;=#{}[]/\`, c) < 0
}

func (r *reader) number() error {
	start, i := r.pos, r.pos
	digits := func() bool {
		from := i
		for i < len(r.b) && r.b[i] >= '0' && r.b[i] <= '9' {
			i++
		}
		return i > from
	}
	if r.b[i] == '-' {
		i++
	}
	first := i
	if !digits() || r.b[first] == '0' && i > first+1 {
		return errMalformed
	}
	if i < len(r.b) && r.b[i] == '.' {
		if i++; !digits() {
			return errMalformed
		}
	}
	if i < len(r.b) && r.b[i]|0x20 == 'e' {
		if i++; i < len(r.b) && (r.b[i] == '+' || r.b[i] == '-') {
			i++
		}
		if !digits() {
			return errMalformed
		}
	}
	if i < len(r.b) && literal(r.b[i]) {
		return errMalformed
	}
	r.text, r.tok, r.pos = r.b[start:i], tokNumber, i
	return nil
}

func (r *reader) nonSpace() (byte, error) {
	for ; r.pos < len(r.b); r.pos++ {
		switch c := r.b[r.pos]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c, nil
		}
	}
	return 0, r.at("End of input")
}

// str reads a string whose opening quote is behind us.
func (r *reader) str() ([]byte, error) {
	start, ascii := r.pos, true
	for i := start; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '"':
			r.pos = i + 1
			if text := r.b[start:i]; ascii || utf8.Valid(text) {
				return text, nil
			}
			return bytes.ToValidUTF8(r.b[start:i], []byte("\uFFFD")), nil
		case c == '\\':
			return r.unescape(start, i)
		case c >= 0x80:
			ascii = false
		}
	}
	return nil, errMalformed
}

// unescape reads on from the first backslash of a string.
func (r *reader) unescape(start, i int) ([]byte, error) {
	text := append(make([]byte, 0, i-start+32), r.b[start:i]...)
	for i < len(r.b) {
		c := r.b[i]
		i++
		switch {
		case c == '"':
			r.pos = i
			return bytes.ToValidUTF8(text, []byte("\uFFFD")), nil
		case c != '\\':
			text = append(text, c)
			continue
		case i == len(r.b):
			return nil, errMalformed
		}
		c = r.b[i]
		i++
		switch c {
		case 'u':
			rn, n := hexRune(r.b[i:])
			if n == 0 {
				return nil, errMalformed
			}
			text = utf8.AppendRune(text, rn)
			i += n
		case 'b', 'f', 'n', 'r', 't':
			text = append(text, "\b\f\n\r\t"[strings.IndexByte("bfnrt", c)])
		case '"', '\\', '/', '\'', '\n':
			text = append(text, c)
		default:
			return nil, errMalformed
		}
	}
	return nil, errMalformed
}

// hexRune reads what follows \u, a surrogate pair included, and says how many
// bytes that were; 0 if it is malformed.
func hexRune(b []byte) (rune, int) {
	unit := func(b []byte) (rune, bool) {
		if len(b) < 4 {
			return 0, false
		}
		v, err := strconv.ParseUint(string(b[:4]), 16, 16)
		return rune(v), err == nil //nolint:gosec // 16 bits
	}
	hi, ok := unit(b)
	if !ok {
		return 0, 0
	}
	if hi >= 0xd800 && hi < 0xdc00 && len(b) >= 10 && b[4] == '\\' && b[5] == 'u' {
		if lo, ok := unit(b[6:]); ok && lo >= 0xdc00 && lo < 0xe000 {
			return (hi-0xd800)<<10 | (lo - 0xdc00) + 0x10000, 10
		}
	}
	if hi >= 0xd800 && hi < 0xe000 {
		hi = utf8.RuneError
	}
	return hi, 4
}

// begin enters an object or array.
func (r *reader) begin(want token) error {
	tok, err := r.peek()
	if err != nil {
		return err
	}
	if tok != want {
		return errMalformed
	}
	if len(r.stack) == maxDepth {
		return r.at(fmt.Sprintf("Nesting limit %d reached", maxDepth))
	}
	r.peeked = false
	r.stack = append(r.stack, scope{array: want == tokBeginArray})
	return nil
}

// more reports whether the innermost object or array goes on; if not, it is left.
func (r *reader) more() (bool, error) {
	tok, err := r.peek()
	if err != nil || tok != tokEndObject && tok != tokEndArray {
		return err == nil, err
	}
	r.stack = r.stack[:len(r.stack)-1]
	r.done()
	return false, nil
}

// done marks the value as consumed.
func (r *reader) done() {
	r.peeked = false
	if n := len(r.stack); n > 0 {
		r.stack[n-1].value = false
		r.stack[n-1].index++
	}
}

// name reads the name of the next field; more was true before.
func (r *reader) name() []byte {
	s := &r.stack[len(r.stack)-1]
	s.name, s.value, r.peeked = r.text, true, false
	return r.text
}

// string reads text, or a number as it is written.
func (r *reader) string() ([]byte, error) {
	tok, err := r.peek()
	if err != nil {
		return nil, err
	}
	switch tok {
	case tokString:
		text, err := r.str()
		if err != nil {
			return nil, err
		}
		r.done()
		return text, nil
	case tokNumber:
		r.done()
		return r.text, nil
	}
	return nil, r.wrong("a string", tok)
}

// integer reads a whole number, also a quoted one or one written as 1e3.
func (r *reader) integer(what string) (int64, error) {
	tok, err := r.peek()
	if err != nil {
		return 0, err
	}
	if tok != tokNumber && tok != tokString {
		return 0, r.wrong(what, tok)
	}
	text := r.text
	if tok == tokString {
		if text, err = r.str(); err != nil {
			return 0, err
		}
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil && !math.IsInf(f, 0) {
			return 0, fmt.Errorf("For input string: \"%s\"", text) //nolint:staticcheck // Zipkin's own words
		}
		if v = int64(f); float64(v) != f || math.Abs(f) >= 1<<63 {
			return 0, r.at(fmt.Sprintf("Expected %s but was %s", what, text))
		}
	}
	r.done()
	return v, nil
}

func (r *reader) bool() (bool, error) {
	tok, err := r.peek()
	if err != nil {
		return false, err
	}
	if tok != tokBool {
		return false, r.wrong("a boolean", tok)
	}
	r.done()
	return r.text[0]|0x20 == 't', nil
}

// skip passes over a value of any kind.
func (r *reader) skip() error {
	for depth := 0; ; {
		tok, err := r.peek()
		if err != nil {
			return err
		}
		switch tok {
		case tokBeginObject, tokBeginArray:
			if err := r.begin(tok); err != nil {
				return err
			}
			depth++
		case tokEndObject, tokEndArray:
			r.stack = r.stack[:len(r.stack)-1]
			r.done()
			depth--
		case tokName:
			r.name()
		case tokString:
			if _, err := r.str(); err != nil {
				return err
			}
			r.done()
		default:
			r.done()
		}
		if depth == 0 {
			return nil
		}
	}
}

// wrong says that a value is of another kind.
func (r *reader) wrong(what string, tok token) error {
	help := "unexpected-json-structure"
	if tok == tokNull {
		help = "adapter-not-null-safe"
	}
	return fmt.Errorf("%w\nSee https://github.com/google/gson/blob/main/Troubleshooting.md#%s",
		r.at("Expected "+what+" but was "+tokenNames[tok]), help)
}

// at says where the trouble is, the way Zipkin's reader counts.
func (r *reader) at(trouble string) error {
	read := r.b[:r.pos]
	line := bytes.Count(read, []byte{'\n'}) + 1
	column := r.pos - bytes.LastIndexByte(read, '\n')
	return fmt.Errorf("%s at line %d column %d path %s", trouble, line, column, r.path())
}

// path is where we are, like $[0].tags.error.
func (r *reader) path() string {
	b := []byte{'$'}
	for _, s := range r.stack {
		if s.array {
			b = fmt.Appendf(b, "[%d]", s.index)
		} else {
			b = append(append(b, '.'), s.name...)
		}
	}
	return string(b)
}
