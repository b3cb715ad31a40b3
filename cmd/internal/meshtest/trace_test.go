package meshtest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/kitmesh/kitmesh/infra/zipkin/tracetest"
)

func (m *mesh) testTrace() {
	eventually(m.t, 2*time.Minute, "Zipkin answers", func() error {
		resp, err := http.Get(m.state.Zipkin + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	// Orders go on until one was placed after Zipkin came up.
	n := 0
	eventually(m.t, time.Minute, "a complete trace of an order", func() error {
		n++
		_, order := m.order("traced-"+strconv.Itoa(n), http.StatusCreated)
		id := order["trace_id"].(string)
		var err error
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if err = tracetest.Order(m.t.Context(), m.state.Zipkin, id); err == nil {
				return nil
			}
		}
		return err
	})
	eventually(m.t, time.Minute, "every edge of the dependency graph", func() error {
		return tracetest.Graph(m.t.Context(), m.state.Zipkin)
	})
}
