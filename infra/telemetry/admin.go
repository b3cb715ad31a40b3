package telemetry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry that holds the metrics of the Go runtime and
// of the process already.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// AdminOptions configures an Admin. Nil parts are left out: without Health the
// process counts as alive while it answers, without Ready as ready.
type AdminOptions struct {
	Registry *prometheus.Registry
	Health   func(ctx context.Context) (string, error)
	Ready    func(ctx context.Context) (string, error)
}

// Admin is the handler of an instance's admin port: /metrics, /healthz,
// /readyz, /debug/pprof/ and whatever else is mounted. / lists them all.
type Admin struct {
	mux   *http.ServeMux
	mu    sync.Mutex
	paths []string
}

// NewAdmin returns the handler.
func NewAdmin(o AdminOptions) *Admin {
	a := &Admin{mux: http.NewServeMux()}
	a.mux.HandleFunc("GET /{$}", a.index)
	if o.Registry != nil {
		a.Handle("/metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{Registry: o.Registry}))
	}
	a.Handle("/healthz", statusHandler(o.Health, "alive"))
	a.Handle("/readyz", statusHandler(o.Ready, "ready"))
	a.Handle("/debug/pprof/", http.HandlerFunc(pprof.Index))
	for name, h := range map[string]http.HandlerFunc{
		"cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		a.mux.HandleFunc("/debug/pprof/"+name, h)
	}
	return a
}

// Handle mounts a handler; patterns are those of http.ServeMux.
func (a *Admin) Handle(pattern string, h http.Handler) {
	a.mux.Handle(pattern, h)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paths = append(a.paths, pattern)
}

// ServeHTTP answers an admin request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Admin) index(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	paths := slices.Sorted(slices.Values(a.paths))
	a.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, strings.Join(paths, "\n"))
}

// statusHandler answers 200 or 503 with the sentence that says why: as text,
// or as JSON {"ok","status"} to those who ask for it.
func statusHandler(check func(context.Context) (string, error), otherwise string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sentence, err := otherwise, error(nil)
		if check != nil {
			sentence, err = check(r.Context())
		}
		code := http.StatusOK
		if err != nil {
			code, sentence = http.StatusServiceUnavailable, err.Error()
		}
		w.Header().Set("Cache-Control", "no-store")
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": err == nil, "status": sentence}) // the client may be gone
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprintln(w, sentence)
	})
}

// Server is an HTTP server that ends within bounds. Set its fields before Run.
type Server struct {
	Drain  time.Duration // for requests under way at the end; 10 s if 0
	Logger *slog.Logger  // for the errors of connections; nil: silent

	listener net.Listener
	http     *http.Server
}

// NewServer listens on addr, so that Addr is known and callers queue up from
// now on. Run serves them.
func NewServer(addr string, h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &Server{listener: l, http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// No ReadTimeout and WriteTimeout: they would cut profiles and event
		// streams. Handlers that read bodies bound them.
	}}, nil
}

// Addr is the address it really listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// OnShutdown registers what ends long-lived requests, such as event streams,
// so that shutdown need not wait for them.
func (s *Server) OnShutdown(f func()) { s.http.RegisterOnShutdown(f) }

// Run serves until ctx ends, then finishes the requests under way within
// Drain, cuts the rest, and returns nil. It returns early if serving fails.
func (s *Server) Run(ctx context.Context) error {
	logger := s.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s.http.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(s.Drain, 10*time.Second))
	defer cancel()
	err := s.http.Shutdown(bound)
	if err != nil {
		err = s.http.Close() // the bound passed: cut what is left
	}
	if e := <-served; e != nil && !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Close ends a Server at once, one that never ran too.
func (s *Server) Close() error {
	err := s.http.Close()
	if e := s.listener.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}
