package zipkin

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
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
