package edge

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-kit/kit/circuitbreaker"
	kithttp "github.com/go-kit/kit/transport/http"
	"github.com/sony/gobreaker"
)

// An instance that answers 503 to everything is broken: its breaker opens. In
// stock go-kit every answer is a success unless the decoder says otherwise, and
// the client waits for ever.
func TestServerErrorsOpenBreakers(t *testing.T) {
	g := newGateway(t, "a")
	g.set(problemHandler(503, "unavailable"))
	e := start(t, Options{}, g)
	for range 20 {
		ask(t, e, "GET", "/v1/products", "")
	}
	if got := e.target.Report().Members[0].Breaker; got != "open" {
		t.Errorf("breaker %s after twenty 503s", got)
	}
	if e.opts.Limits.Deadline <= 0 {
		t.Error("the edge waits for ever")
	}
	t.Run("stock", func(t *testing.T) {
		s := httptest.NewServer(problemHandler(503, "unavailable"))
		defer s.Close()
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		cb := gobreaker.NewCircuitBreaker(gobreaker.Settings{})
		call := circuitbreaker.Gobreaker(cb)(kithttp.NewClient("GET", u, kithttp.EncodeJSONRequest,
			func(context.Context, *http.Response) (any, error) { return nil, nil }).Endpoint())
		for range 20 {
			if _, err := call(t.Context(), nil); err != nil {
				t.Fatalf("stock go-kit takes a 503 for a failure now: %v", err)
			}
		}
		if cb.State() != gobreaker.StateClosed {
			t.Errorf("stock breaker %s", cb.State())
		}
		if http.DefaultClient.Timeout != 0 {
			t.Error("the stock client has a time limit now")
		}
	})
}
