package zipkin

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
