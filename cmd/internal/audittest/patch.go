package audittest

import (
	"fmt"
	"strings"
)

// A Patch is a deliberate bug: a sentence that says what it is, and the changes
// that make it, in the manner of a unified diff without line numbers:
//
//	--- services/orders/saga.go
//	 a line that stays
//	-a line that goes
//	+a line that comes
//	@@
//
// The lines that stay and go must be in the file once, so that a patch whose
// file has moved on fails instead of doing something else.
type Patch struct {
	About string
	hunks []hunk
}

type hunk struct{ file, old, new string }

// ParsePatch reads a patch.
func ParsePatch(text string) (Patch, error) {
	var p Patch
	var file string
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if name, ok := strings.CutPrefix(line, "--- "); ok {
			file = name
			p.hunks = append(p.hunks, hunk{file: file})
			continue
		}
		if file == "" {
			p.About = strings.TrimSpace(p.About + " " + line)
			continue
		}
		h := &p.hunks[len(p.hunks)-1]
		switch {
		case line == "@@":
			p.hunks = append(p.hunks, hunk{file: file})
		case strings.HasPrefix(line, " "):
			h.old += line[1:] + "\n"
			h.new += line[1:] + "\n"
		case strings.HasPrefix(line, "-"):
			h.old += line[1:] + "\n"
		case strings.HasPrefix(line, "+"):
			h.new += line[1:] + "\n"
		default:
			return p, fmt.Errorf("line %d of the patch begins with neither space, - nor +: %q", n+1, line)
		}
	}
	if len(p.hunks) == 0 {
		return p, fmt.Errorf("the patch changes no file")
	}
	return p, nil
}

// Apply returns the changed files by name; read returns a file as it is.
func (p Patch) Apply(read func(name string) (string, error)) (map[string]string, error) {
	changed := map[string]string{}
	for _, h := range p.hunks {
		text, ok := changed[h.file]
		if !ok {
			var err error
			if text, err = read(h.file); err != nil {
				return nil, err
			}
		}
		if n := strings.Count(text, h.old); n != 1 || h.old == "" {
			return nil, fmt.Errorf("%s has these lines %d times, not once:\n%s", h.file, n, h.old)
		}
		changed[h.file] = strings.Replace(text, h.old, h.new, 1)
	}
	return changed, nil
}
