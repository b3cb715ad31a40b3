package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kitmesh/kitmesh/endpoints"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// A method, its endpoint and one line make a REST route: the tags of the
// request say where its fields come from.
func ExampleHandle() {
	type greetRequest struct {
		Name  string `json:"-" path:"name"`
		Words string `json:"words"`
	}
	greet := func(_ context.Context, r greetRequest) (map[string]string, error) {
		if r.Words == "" {
			return nil, fault.New(fault.Invalid, "say something to %s", r.Name)
		}
		return map[string]string{"said": r.Words + ", " + r.Name}, nil
	}
	h := rest.NewHandler([]rest.Route{
		rest.Handle[greetRequest]("POST /v1/greetings/{name}", endpoints.Make(greet)),
	})
	for _, body := range []string{`{"words":"Hello"}`, `{}`, `{"word":"Hello"}`} {
		r := httptest.NewRequest(http.MethodPost, "/v1/greetings/Ada", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 {"said":"Hello, Ada"}
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"say something to Ada","code":"invalid","trace_id":""}
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"the body has the unknown field \"word\"; remove it or check its spelling","code":"invalid","trace_id":""}
}
