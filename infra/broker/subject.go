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

// noKind stands for the empty kind: a subject has no empty tokens.
const noKind = "_"

// encodeKind makes one subject token of a kind. Unlike keys kinds are ours, so
// they are plain.
func encodeKind(kind string) (string, error) {
	if kind == "" {
		return noKind, nil
	}
	if token, err := encodeKey(kind); err != nil || token != kind || kind == noKind {
		return "", fault.New(fault.Invalid, "%q cannot be a kind of event; use letters, digits, - and _", kind)
	}
	return kind, nil
}

// filters are the subjects of the events of some kinds; no kinds are all.
func (j *Journal) filters(kinds []string) ([]string, error) { return j.filtersOf("*", kinds) }

// filtersOf are the subjects of a key's token.
func (j *Journal) filtersOf(key string, kinds []string) ([]string, error) {
	var subjects []string
	for _, kind := range kinds {
		token, err := encodeKind(kind)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, j.prefix+key+"."+token)
	}
	return subjects, nil
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
