package inventory

import "testing"

func TestParseStock(t *testing.T) {
	if s, err := parseStock([]byte("sku,units\na,1\nb,0\n")); err != nil || len(s) != 2 || s["a"] != 1 {
		t.Errorf("parseStock = %v, %v", s, err)
	}
	for _, bad := range []string{"", "sku,units\n", "a,b\nc,1\n", "sku,units\na,x\n", "sku,units\na,-1\n", "sku,units\na,1\na,2\n", "sku,units\n,1\n", "sku,units\na,1,2\n"} {
		if _, err := parseStock([]byte(bad)); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}
