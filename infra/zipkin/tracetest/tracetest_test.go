package tracetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type object = map[string]any

// shop answers a whole trace and graph, less what change takes away.
func shop(t *testing.T, change func(spans, edges []object) ([]object, []object)) string {
	t.Helper()
	var spans, edges []object
	for i, s := range services {
		span := object{"traceId": "1", "id": string(rune('a' + i)), "kind": "CLIENT", "localEndpoint": object{"serviceName": s}, "tags": object{"try": "1"}}
		if i > 0 {
			span["parentId"] = "a"
		}
		spans = append(spans, span)
	}
	for _, l := range links {
		parent, child, _ := strings.Cut(l, " → ")
		edges = append(edges, object{"parent": parent, "child": child, "callCount": 1})
	}
	spans, edges = change(spans, edges)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/dependencies") {
			_ = json.NewEncoder(w).Encode(edges)
		} else {
			_ = json.NewEncoder(w).Encode(spans)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatIsMissingIsTold(t *testing.T) {
	for says, change := range map[string]func(spans, edges []object) ([]object, []object){
		"":                     func(s, e []object) ([]object, []object) { return s, e },
		"no span of shipping":  func(s, e []object) ([]object, []object) { return s[:len(s)-1], e },
		"2 roots":              func(s, e []object) ([]object, []object) { delete(s[1], "parentId"); return s, e },
		"parent z of":          func(s, e []object) ([]object, []object) { s[2]["parentId"] = "z"; return s, e },
		"which try it was":     func(s, e []object) ([]object, []object) { delete(s[3], "tags"); return s, e },
		"no edge edge → gatew": func(s, e []object) ([]object, []object) { return s, e[1:] },
	} {
		url := shop(t, change)
		err := Order(t.Context(), url, "1")
		if err == nil {
			err = Graph(t.Context(), url)
		}
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if Order(t.Context(), "http://127.0.0.1:1", "1") == nil || Graph(t.Context(), "http://127.0.0.1:1") == nil {
		t.Error("nobody answers, and nothing is missing")
	}
}
