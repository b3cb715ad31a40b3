package kitmesh_test

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestTrapsPage: every test that docs/traps.md names is where it says.
func TestTrapsPage(t *testing.T) {
	page, err := os.ReadFile("docs/traps.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\[(Test\w+)(?:/([^\]]+))?\]\(([^)]+_test\.go)\)`).FindAllStringSubmatch(string(page), -1)
	if len(named) < 50 {
		t.Errorf("only %d tests found on the page: its form has changed", len(named))
	}
	for _, m := range named {
		src, err := os.ReadFile(path.Join("docs", m[3]))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(src), "func "+m[1]+"(") || m[2] != "" && !strings.Contains(string(src), `"`+m[2]+`"`) {
			t.Errorf("%s has no %s %s", m[3], m[1], m[2])
		}
	}
}
