package zipkin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Options say how to run a collector. The zero value listens on a free port of
// every interface with the default limits.
type Options struct {
	Addr         string // host:port; port 0 takes a free one
	Limits       Limits
	Autocomplete []string     // tags whose values can be listed
	API          string       // URL of another Zipkin that answers instead: only the page is served here
	Logger       *slog.Logger // nil: slog.Default()
}

// Validate refuses options that cannot work, with a sentence for the user.
func (o Options) Validate() error {
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return fmt.Errorf("--addr is host:port, not %q", o.Addr)
	}
	if o.Limits.Spans < 0 || o.Limits.Bytes < 0 {
		return errors.New("--max-spans and --max-bytes are at least 1")
	}
	if o.API != "" {
		if u, err := url.Parse(o.API); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--api is the URL of a Zipkin, like http://127.0.0.1:9411, not %q", o.API)
		}
	}
	return nil
}

// shutdownTime is how long requests may take to end when ctx has.
const shutdownTime = 5 * time.Second

// Serve runs a collector until ctx ends, then lets requests end in good order.
// ready is told its URL once it takes connections; nil is allowed.
func Serve(ctx context.Context, o Options, ready func(url string)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("listen for spans: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	handler, err := o.handler()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute, // reporters keep their connections
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if ready != nil {
		ready("http://" + listener.Addr().String())
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve Zipkin's API: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), server.Close())
	}
	return nil
}

// handler joins the page and the API, ours or another Zipkin's.
func (o Options) handler() (http.Handler, error) {
	var api http.Handler
	if o.API == "" {
		api = NewAPI(NewStore(o.Limits, o.Autocomplete))
	} else {
		to, err := url.Parse(o.API)
		if err != nil {
			return nil, fmt.Errorf("the other Zipkin's URL: %w", err)
		}
		api = &httputil.ReverseProxy{
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
			ErrorHandler: unreachable(o.API),
		}
	}
	page := UI()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || r.URL.Path == "/zipkin" || strings.HasPrefix(r.URL.Path, "/zipkin/") {
			page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	}), nil
}

func unreachable(url string) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, _ *http.Request, err error) {
		writeText(w, http.StatusBadGateway, fmt.Sprintf("the Zipkin at %s does not answer: %v", url, err))
	}
}
