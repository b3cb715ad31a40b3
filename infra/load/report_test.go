package load

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestResultIsTheDocumentedJSON(t *testing.T) {
	shop := newFakeShop(t)
	r := mustRun(t, Options{URL: shop.URL, Rate: 100, Duration: 100 * time.Millisecond})
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"requests", "success", "failures", "late", "tries_per_request", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms",
		"orders", "partial", "duration_s", "rate", "by_op",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing in %s", name, data)
		}
	}
	if string(fields["failures"]) != "{}" {
		t.Errorf("failures are %s", fields["failures"])
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "no failure in 10 requests") {
		t.Errorf("%v\n%s", err, text.String())
	}
	t.Log("\n" + text.String())
}
