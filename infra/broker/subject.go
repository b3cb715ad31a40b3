package broker

import (
	"fmt"
	"strings"

	"github.com/kitmesh/kitmesh/services/fault"
)

// maxKey bounds a key in bytes; subjects are held in the server's memory.
const maxKey = 256

// encodeKey makes one subject token of any key: letters, digits, "-" and "_"
// stand for themselves, every other byte becomes "=XX". Dots, wildcards and
// spaces would otherwise change what the subject matches.
func encodeKey(key string) (string, error) {
	if key == "" || len(key) > maxKey {
		return "", fault.New(fault.Invalid, "a key has 1 to %d bytes, this one %d", maxKey, len(key))
	}
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String(), nil
}

// decodeKey undoes encodeKey; a token that encodeKey did not write comes back
// as it is.
func decodeKey(token string) string {
	if !strings.Contains(token, "=") {
		return token
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		var c byte
		if i+2 >= len(token) {
			return token
		}
		if _, err := fmt.Sscanf(token[i+1:i+3], "%02X", &c); err != nil {
			return token
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
