package meshtest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// span is what the test reads of a Zipkin span.
type span struct {
	ID       string `json:"id"`
	ParentID string `json:"parentId"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Local    struct {
		ServiceName string `json:"serviceName"`
	} `json:"localEndpoint"`
	Tags map[string]string `json:"tags"`
}

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
			var spans []span
			if _, err = tryGet(m.t.Context(), m.state.Zipkin+"/api/v2/trace/"+id, &spans); err != nil {
				continue
			}
			if err = complete(spans); err == nil {
				return nil
			}
		}
		return err
	})
	eventually(m.t, time.Minute, "every edge of the dependency graph", func() error { return m.edges() })
}

// complete reports what an order's trace lacks.
func complete(spans []span) error {
	services, ids, roots := map[string]bool{}, map[string]bool{}, 0
	for _, s := range spans {
		services[s.Local.ServiceName] = true
		ids[s.ID] = true
		if s.ParentID == "" {
			roots++
		}
	}
	var missing []string
	for _, want := range []string{"edge", "gateway", "orders", "pricing", "inventory", "payments", "shipping"} {
		if !services[want] {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no span of %s; there are %s", strings.Join(missing, ", "), slices.Sorted(maps.Keys(services)))
	}
	if roots != 1 {
		return fmt.Errorf("%d roots", roots)
	}
	for _, s := range spans {
		if s.ParentID != "" && !ids[s.ParentID] {
			return fmt.Errorf("the parent %s of %s %s is missing", s.ParentID, s.Local.ServiceName, s.Name)
		}
		if s.Kind == "CLIENT" && s.Local.ServiceName != "edge" && s.Tags["try"] == "" {
			return fmt.Errorf("%s %s does not say which try it was", s.Local.ServiceName, s.Name)
		}
	}
	return nil
}

// edges reports what Zipkin's dependency graph lacks.
func (m *mesh) edges() error {
	var links []struct {
		Parent, Child string
		CallCount     int
	}
	url := fmt.Sprintf("%s/api/v2/dependencies?endTs=%d&lookback=3600000", m.state.Zipkin, time.Now().UnixMilli())
	if _, err := tryGet(m.t.Context(), url, &links); err != nil {
		return err
	}
	has := map[string]bool{}
	for _, l := range links {
		has[l.Parent+" → "+l.Child] = true
	}
	var err error
	for _, want := range []string{
		"edge → gateway", "gateway → catalog", "gateway → pricing", "gateway → inventory", "gateway → shipping", "gateway → orders",
		"orders → pricing", "orders → inventory", "orders → payments", "orders → shipping", "shipping → pricing",
		"payments → provider", "orders → nats", "inventory → nats", "payments → nats", "shipping → nats", "nats → shipping",
	} {
		if !has[want] {
			err = errors.Join(err, fmt.Errorf("no edge %s", want))
		}
	}
	return err
}
