package pricing

import (
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	if cents, err := parse("sku,cents\na,1\nb,10000000\n"); err != nil || cents["b"] != maxCents {
		t.Fatalf("a good file: %v, %v", cents, err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":          {"", "the first line must be sku,cents"},
		"another header": {"a,b\n", "the first line must be sku,cents"},
		"missing field":  {"sku,cents\na\n", "wrong number of fields"},
		"free":           {"sku,cents\na,0\n", "line 2: cents"},
		"negative":       {"sku,cents\na,-1\n", "line 2: cents"},
		"over the bound": {"sku,cents\na,10000001\n", "line 2: cents"},
		"over int64":     {"sku,cents\na,99999999999999999999\n", "line 2: cents"},
		"euros":          {"sku,cents\na,1.50\n", "line 2: cents"},
		"no SKU":         {"sku,cents\n,1\n", "is empty or there twice"},
		"twice":          {"sku,cents\na,1\na,2\n", "is empty or there twice"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}
