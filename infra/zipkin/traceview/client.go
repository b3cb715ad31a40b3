package traceview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Query says which trace to find. The zero value is the newest one.
type Query struct {
	Service  string        // only traces that passed through it
	Failed   bool          // only traces with an error
	Slowest  bool          // the slowest instead of the newest
	Lookback time.Duration // how far back; 1 h if 0
}

// ErrNotFound says that Zipkin has no such trace.
var ErrNotFound = errors.New("no such trace")

// sample is how many traces the slowest is sought among.
const sample = 500

// maxAnswer bounds what is read from a Zipkin.
const maxAnswer = 64 << 20

// Get returns the spans of one trace, as Zipkin wrote them and decoded.
func Get(ctx context.Context, zipkin, id string) (json.RawMessage, []Span, error) {
	raw, err := get(ctx, zipkin, "/api/v2/trace/"+url.PathEscape(id))
	if err != nil {
		return nil, nil, err
	}
	var spans []Span
	if err := json.Unmarshal(raw, &spans); err != nil || len(spans) == 0 {
		return nil, nil, fmt.Errorf("%s answers something else than a trace: %w", zipkin, err)
	}
	return raw, spans, nil
}

// Find returns the one trace a query means, or ErrNotFound. Traces whose spans
// are still being reported count only if there are no others.
func Find(ctx context.Context, zipkin string, q Query) (json.RawMessage, []Span, error) {
	if q.Lookback <= 0 {
		q.Lookback = time.Hour
	}
	v := url.Values{"lookback": {strconv.FormatInt(q.Lookback.Milliseconds(), 10)}, "limit": {"20"}}
	if q.Service != "" {
		v.Set("serviceName", q.Service)
	}
	if q.Failed {
		v.Set("annotationQuery", "error")
	}
	if q.Slowest {
		v.Set("limit", strconv.Itoa(sample))
	}
	raw, err := get(ctx, zipkin, "/api/v2/traces?"+v.Encode())
	if err != nil {
		return nil, nil, err
	}
	var traces []json.RawMessage
	if err := json.Unmarshal(raw, &traces); err != nil {
		return nil, nil, fmt.Errorf("%s answers something else than traces: %w", zipkin, err)
	}
	raw, spans := best(traces, q.Slowest)
	if spans == nil {
		return nil, nil, ErrNotFound
	}
	return raw, spans, nil
}

// best picks the newest or the slowest of many traces.
func best(traces []json.RawMessage, slowest bool) (raw json.RawMessage, spans []Span) {
	now := time.Now()
	var settled bool
	var rank int64
	for _, t := range traces {
		var one []Span
		if err := json.Unmarshal(t, &one); err != nil || len(one) == 0 {
			continue
		}
		s := Summarise(one)
		r := s.Start.UnixMicro()
		if slowest {
			r = int64(s.Duration)
		}
		is := s.Settled(now)
		if spans == nil || is && !settled || is == settled && r > rank {
			raw, spans, settled, rank = t, one, is, r
		}
	}
	return raw, spans
}

func get(ctx context.Context, zipkin, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(zipkin, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask Zipkin: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask Zipkin: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read Zipkin's answer: %w", err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, ErrNotFound
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the Zipkin at %s says: %.300s", zipkin, body)
	}
	return body, nil
}
