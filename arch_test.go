// Package kitmesh_test holds the rules that keep the house in order.
package kitmesh_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kitmesh/kitmesh/"

// mayImport is the dependency rule: code under the key may import the listed
// parts of this module, and no others.
var mayImport = map[string][]string{
	"services/fault":   {},
	"services":         {"services/fault"}, // a service cannot see its siblings
	"endpoints":        {"services", "endpoints"},
	"transports/proto": {},
	"transports":       {"services", "endpoints", "transports", "middleware/b3"},
	"middleware/b3":    {}, // the wire format of traces, which HTTP and gRPC share
	"middleware":       {"services/fault", "endpoints", "middleware"},
	"infra":            {"services/fault", "middleware", "infra"},
	"cmd":              {"services", "endpoints", "transports", "middleware", "infra", "cmd"},
}

// stdlibOnly names the layers that may import nothing from outside.
var stdlibOnly = []string{"services"}

// sources calls check with every non-test Go file of this module.
func sources(t *testing.T, check func(file string, imports []string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, nested := os.Stat(filepath.Join(file, "go.mod")); file != "." && nested == nil {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(file) // through os, so that the test cache sees edits
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			imports = append(imports, imp)
		}
		check(file, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDependencyRule(t *testing.T) {
	seen := 0
	sources(t, func(file string, imports []string) {
		seen++
		layer := layerOf(path.Dir(file))
		if layer == "" {
			t.Errorf("%s is in no layer: add its folder to mayImport or move it", file)
		}
		for _, imp := range imports {
			if to, ours := strings.CutPrefix(imp, module); ours {
				if !under(to, mayImport[layer]...) {
					t.Errorf("%s: %s must not import %s", file, layer, to)
				}
				continue
			}
			if under(file, stdlibOnly...) && strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("%s: services import the standard library and services/fault only, not %s", file, imp)
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d files seen: the walk is broken", seen)
	}
}

// TestSameLeafRule: what endpoints and transports say about one service names
// no other service.
func TestSameLeafRule(t *testing.T) {
	services := leaves(t, "services")
	sources(t, func(file string, imports []string) {
		layer, leaf := path.Split(path.Dir(file))
		layer = strings.TrimSuffix(layer, "/")
		if layer != "endpoints" && layer != "transports" || !services[leaf] {
			return
		}
		for _, imp := range imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			for part := range strings.SplitSeq(to, "/") {
				if services[part] && part != leaf {
					t.Errorf("%s speaks for %s and must not import %s", file, leaf, to)
				}
			}
		}
	})
}

// TestNames: a package says what it is for.
func TestNames(t *testing.T) {
	sources(t, func(file string, _ []string) {
		switch name := path.Base(path.Dir(file)); name {
		case "util", "utils", "common", "helpers", "misc", "base":
			t.Errorf("%s: a package called %s says nothing; name its one subject", file, name)
		}
	})
}

// leaves lists the services, without the fault vocabulary that all share.
func leaves(t *testing.T, dir string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "fault" {
			names[e.Name()] = true
		}
	}
	return names
}

// layerOf returns the most specific layer that holds dir.
func layerOf(dir string) (layer string) {
	for l := range mayImport {
		if under(dir, l) && len(l) > len(layer) {
			layer = l
		}
	}
	return layer
}

func under(pkg string, roots ...string) bool {
	for _, r := range roots {
		if pkg == r || strings.HasPrefix(pkg, r+"/") {
			return true
		}
	}
	return false
}
