package zipkin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// API answers Zipkin's v2 HTTP API from a Store.
type API struct {
	store   *Store
	mux     *http.ServeMux
	intake  chan struct{} // a slot for every body that is being read
	metrics metrics
}

// NewAPI returns the API of a store. It is an http.Handler for /api/v2/,
// /health, /info, /metrics and /prometheus.
func NewAPI(store *Store) *API {
	a := &API{store: store, mux: http.NewServeMux(), intake: make(chan struct{}, maxBodies)}
	a.mux.HandleFunc("POST /api/v2/spans", a.collect)
	for path, get := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/api/v2/services":           a.getServices,
		"/api/v2/spans":              a.getSpanNames,
		"/api/v2/remoteServices":     a.getRemoteServices,
		"/api/v2/traces":             a.getTraces,
		"/api/v2/trace/{id}":         a.getTrace,
		"/api/v2/traceMany":          a.getTraceMany,
		"/api/v2/dependencies":       a.getDependencies,
		"/api/v2/autocompleteKeys":   a.getTagKeys,
		"/api/v2/autocompleteValues": a.getTagValues,
		"/health":                    a.getHealth,
		"/info":                      a.getInfo,
		"/metrics":                   a.getMetrics,
		"/prometheus":                a.getPrometheus,
	} {
		a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := get(w, r); err != nil {
				a.fail(w, err)
			}
		})
	}
	return a
}

// ServeHTTP lets pages of any origin ask, as Zipkin does. Unknown paths and
// methods are 404 alike, also as Zipkin does.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Header.Get("Origin") != "" {
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET,POST")
			h.Set("Access-Control-Allow-Headers", "content-type,content-encoding")
			return
		}
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if handler, pattern := a.mux.Handler(r); pattern == "" || r.Method == http.MethodHead {
		_ = handler // its own 405 is not what Zipkin answers
		writeText(w, http.StatusNotFound, "404 Not Found")
		return
	}
	a.mux.ServeHTTP(w, r)
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

// fail answers 400 unless the error says otherwise. What the client will not
// read is not written.
func (a *API) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	status := http.StatusBadRequest
	if s, ok := errors.AsType[statusError](err); ok {
		status = s.status
	}
	writeText(w, status, err.Error())
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that left needs no answer
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	body, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(body)
	}
	return err
}

// writeNames answers a list of names. As in Zipkin many names may be cached
// for a while, few may not: somebody is trying things out.
func writeNames(w http.ResponseWriter, cache bool, names []string) error {
	if cache {
		w.Header().Set("Cache-Control", "max-age=300, must-revalidate")
	}
	return writeJSON(w, names)
}

const cacheFrom = 4 // services

func (a *API) getServices(w http.ResponseWriter, _ *http.Request) error {
	names := a.store.services()
	return writeNames(w, len(names) >= cacheFrom, names)
}

func (a *API) getSpanNames(w http.ResponseWriter, r *http.Request) error {
	service, err := mandatory(r.URL.Query(), "serviceName")
	if err != nil {
		return err
	}
	return writeNames(w, a.manyServices(), a.store.spanNames(strings.ToLower(service)))
}

func (a *API) getRemoteServices(w http.ResponseWriter, r *http.Request) error {
	service, err := mandatory(r.URL.Query(), "serviceName")
	if err != nil {
		return err
	}
	return writeNames(w, a.manyServices(), a.store.remoteServices(strings.ToLower(service)))
}

func (a *API) manyServices() bool {
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	return len(a.store.names.services) >= cacheFrom
}

func (a *API) getTagKeys(w http.ResponseWriter, _ *http.Request) error {
	return writeNames(w, true, a.store.tagKeys())
}

func (a *API) getTagValues(w http.ResponseWriter, r *http.Request) error {
	key, err := mandatory(r.URL.Query(), "key")
	if err != nil {
		return err
	}
	if key == "" {
		return errors.New("key was empty")
	}
	values := a.store.tagValues(key)
	return writeNames(w, len(values) >= cacheFrom, values)
}

const defaultLookback = 24 * int64(time.Hour/time.Millisecond)

func (a *API) getTraces(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	p := params{v: v}
	q := query{
		service: v.Get("serviceName"), remote: v.Get("remoteServiceName"), span: v.Get("spanName"),
		tags:   parseTagQuery(v.Get("annotationQuery")),
		minDur: p.optional("minDuration"), maxDur: p.optional("maxDuration"),
		endTs:    p.integer("endTs", time.Now().UnixMilli()),
		lookback: p.integer("lookback", defaultLookback),
		limit:    int(p.strict("limit", 32, 10)),
	}
	if p.err != nil {
		return p.err
	}
	if err := q.check(); err != nil {
		return err
	}
	traces, err := a.store.search(r.Context(), &q)
	if err != nil {
		return err
	}
	return writeTraces(w, traces)
}

func (a *API) getTrace(w http.ResponseWriter, r *http.Request) error {
	high, low, err := parseTraceID([]byte(r.PathValue("id")))
	if err != nil {
		return err
	}
	records := a.store.trace(high, low)
	if len(records) == 0 {
		return statusError{http.StatusNotFound, traceIDText(high, low) + " not found"}
	}
	w.Header().Set("Content-Type", "application/json")
	b := bufio.NewWriter(w)
	writeRecords(b, records)
	return b.Flush()
}

func (a *API) getTraceMany(w http.ResponseWriter, r *http.Request) error {
	text, err := mandatory(r.URL.Query(), "traceIds")
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("traceIds parameter is empty")
	}
	ids := strings.Split(text, ",")
	if len(ids) == 1 {
		return errors.New("Use /api/v2/trace/{traceId} endpoint to retrieve a single trace") //nolint:staticcheck // Zipkin's own words
	}
	seen := map[[2]uint64]bool{}
	var traces [][]record
	for _, id := range ids {
		high, low, err := parseTraceID([]byte(id))
		if err != nil {
			return err
		}
		if seen[[2]uint64{high, low}] {
			return fmt.Errorf("redundant traceId: %s", id)
		}
		seen[[2]uint64{high, low}] = true
		if records := a.store.trace(high, low); len(records) > 0 {
			traces = append(traces, records)
		}
	}
	return writeTraces(w, traces)
}

func (a *API) getDependencies(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if _, err := mandatory(v, "endTs"); err != nil {
		return err
	}
	p := params{v: v}
	endTs, lookback := p.strict("endTs", 64, 0), p.integer("lookback", defaultLookback)
	switch {
	case p.err != nil:
		return p.err
	case endTs <= 0:
		return errors.New("endTs <= 0")
	case lookback <= 0:
		return errors.New("lookback <= 0")
	}
	links, err := a.store.dependencies(r.Context(), endTs, lookback)
	if err != nil {
		return err
	}
	type dependency struct {
		Parent     string `json:"parent"`
		Child      string `json:"child"`
		CallCount  int64  `json:"callCount"`
		ErrorCount int64  `json:"errorCount,omitempty"`
	}
	list := make([]dependency, 0, len(links))
	for _, l := range links {
		list = append(list, dependency{l.parent, l.child, l.calls, l.errors})
	}
	return writeJSON(w, list)
}

// writeTraces streams a list of traces. An error is that of a client who left.
func writeTraces(w http.ResponseWriter, traces [][]record) error {
	w.Header().Set("Content-Type", "application/json")
	b := bufio.NewWriterSize(w, 64<<10)
	sep := byte('[')
	for _, t := range traces {
		_ = b.WriteByte(sep) // bufio keeps the first error for Flush
		writeRecords(b, t)
		sep = ','
	}
	if len(traces) == 0 {
		_ = b.WriteByte('[')
	}
	_ = b.WriteByte(']')
	return b.Flush()
}

func writeRecords(b *bufio.Writer, records []record) {
	sep := byte('[')
	for i := range records {
		_ = b.WriteByte(sep)
		_, _ = b.Write(records[i].raw)
		sep = ','
	}
	_ = b.WriteByte(']')
}

func traceIDText(high, low uint64) string {
	var b []byte
	if high != 0 {
		b = appendHex(b, high)
	}
	return string(appendHex(b, low))
}

// mandatory returns a parameter that may be empty but not absent.
func mandatory(v url.Values, name string) (string, error) {
	if !v.Has(name) {
		return "", fmt.Errorf("Mandatory parameter/header/attribute is missing: %s", name) //nolint:staticcheck // Zipkin's own words
	}
	return v.Get(name), nil
}

// params reads numbers and keeps the first fault.
type params struct {
	v   url.Values
	err error
}

// optional returns nil for a parameter that is absent or empty.
func (p *params) optional(name string) *int64 {
	if p.v.Get(name) == "" {
		return nil
	}
	n := p.parse(name, 64)
	return &n
}

func (p *params) integer(name string, otherwise int64) int64 {
	if n := p.optional(name); n != nil {
		return *n
	}
	return otherwise
}

// strict reads a parameter that must not be empty.
func (p *params) strict(name string, bits int, otherwise int64) int64 {
	if !p.v.Has(name) {
		return otherwise
	}
	if p.v.Get(name) == "" {
		p.fail(fmt.Errorf("Cannot set null to primitive type parameter: %s", name)) //nolint:staticcheck // Zipkin's own words
		return 0
	}
	return p.parse(name, bits)
}

func (p *params) parse(name string, bits int) int64 {
	n, err := strconv.ParseInt(p.v.Get(name), 10, bits)
	if err != nil {
		p.fail(fmt.Errorf("For input string: %q", p.v.Get(name))) //nolint:staticcheck // Zipkin's own words
	}
	return n
}

func (p *params) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
