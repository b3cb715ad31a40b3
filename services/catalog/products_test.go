package catalog

import (
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	const header = "sku,name,category,weight_grams,tagline,description\n"
	if _, err := parse(header + "b,B,c,1,t,d\na,A,c,1,t,d\n"); err != nil {
		t.Fatalf("a good file: %v", err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":          {"", "the first line must be"},
		"another header": {"a,b,c,d,e,f\n", "the first line must be"},
		"short line":     {header + "a,A,c,1,t\n", "wrong number of fields"},
		"no name":        {header + "a,,c,1,t,d\n", "line 2: name is empty"},
		"no weight":      {header + "a,A,c,0,t,d\n", "line 2: weight_grams"},
		"bad weight":     {header + "a,A,c,heavy,t,d\n", "line 2: weight_grams"},
		"twice":          {header + "a,A,c,1,t,d\nb,B,c,1,t,d\na,A,c,1,t,d\n", `"a" is there twice`},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}
