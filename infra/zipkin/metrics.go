package zipkin

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// metrics count what came in since the start.
type metrics struct {
	messages, dropped, bytes, spans atomic.Int64
}

// getMetrics answers with the names that Zipkin uses for its own collector.
func (a *API) getMetrics(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]int64{
		"counter.zipkin_collector.messages.http":         a.metrics.messages.Load(),
		"counter.zipkin_collector.messages_dropped.http": a.metrics.dropped.Load(),
		"counter.zipkin_collector.bytes.http":            a.metrics.bytes.Load(),
		"counter.zipkin_collector.spans.http":            a.metrics.spans.Load(),
		"counter.zipkin_collector.spans_dropped.http":    0, // evicted ones were not dropped
	})
}

// getPrometheus answers in Prometheus' text format: Zipkin's names, and the
// store's own below kitmesh_zipkin_.
func (a *API) getPrometheus(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s := a.store.Stats()
	for _, m := range []struct {
		name, labels, kind string
		value              int64
	}{
		{"zipkin_collector_messages_total", `{transport="http"}`, "counter", a.metrics.messages.Load()},
		{"zipkin_collector_messages_dropped_total", `{transport="http"}`, "counter", a.metrics.dropped.Load()},
		{"zipkin_collector_bytes_total", `{transport="http"}`, "counter", a.metrics.bytes.Load()},
		{"zipkin_collector_spans_total", `{transport="http"}`, "counter", a.metrics.spans.Load()},
		{"kitmesh_zipkin_spans", "", "gauge", int64(s.Spans)},
		{"kitmesh_zipkin_traces", "", "gauge", int64(s.Traces)},
		{"kitmesh_zipkin_bytes", "", "gauge", s.Bytes},
		{"kitmesh_zipkin_evicted_spans_total", "", "counter", s.EvictedSpans},
		{"kitmesh_zipkin_evicted_traces_total", "", "counter", s.EvictedTraces},
	} {
		if _, err := fmt.Fprintf(w, "# TYPE %s %s\n%s%s %d\n", m.name, m.kind, m.name, m.labels, m.value); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) getHealth(w http.ResponseWriter, _ *http.Request) error {
	up := map[string]any{"status": "UP"}
	return writeJSON(w, map[string]any{
		"status": "UP",
		"zipkin": map[string]any{"status": "UP", "details": map[string]any{"InMemoryStorage{}": up}},
	})
}

// getInfo says what this is; the version is that of the kitmesh module.
func (a *API) getInfo(w http.ResponseWriter, _ *http.Request) error {
	version := "kitmesh"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = "kitmesh " + info.Main.Version
	}
	return writeJSON(w, map[string]any{"zipkin": map[string]string{"version": version}})
}
