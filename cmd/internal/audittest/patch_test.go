package audittest

import (
	"errors"
	"strings"
	"testing"
)

func TestPatch(t *testing.T) {
	files := map[string]string{"a.go": "one\ntwo\nthree\ntwo\n", "b.go": "four\n"}
	read := func(name string) (string, error) {
		text, ok := files[name]
		if !ok {
			return "", errors.New("no such file")
		}
		return text, nil
	}
	for _, tc := range []struct{ name, patch, a, b, err string }{
		{"two files", "What it is,\nin two lines.\n--- a.go\n one\n-two\n+TWO\n@@\n-three\n--- b.go\n+zero\n four\n", "one\nTWO\ntwo\n", "zero\nfour\n", ""},
		{"moved on", "x\n--- a.go\n-five\n", "", "", "0 times, not once"},
		{"not unique", "x\n--- a.go\n-two\n", "", "", "2 times, not once"},
		{"nowhere", "x\n--- a.go\n+two\n", "", "", "not once"},
		{"unknown file", "x\n--- c.go\n-two\n", "", "", "no such file"},
		{"no file", "x\n", "", "", "changes no file"},
		{"no diff", "x\n--- a.go\ntwo\n", "", "", "line 3 of the patch begins with"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParsePatch(tc.patch)
			var changed map[string]string
			if err == nil {
				changed, err = p.Apply(read)
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || p.About != "What it is, in two lines." || changed["a.go"] != tc.a || changed["b.go"] != tc.b {
				t.Errorf("%v: %q, %q", err, p.About, changed)
			}
		})
	}
}
