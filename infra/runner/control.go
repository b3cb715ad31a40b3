package runner

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// order is the body of a request to the control API.
type order struct {
	Name    string         `json:"name,omitempty"`
	Service string         `json:"service,omitempty"`
	N       int            `json:"n,omitempty"`
	Signal  syscall.Signal `json:"signal,omitempty"`
	For     time.Duration  `json:"for,omitempty"` // nanoseconds
	Hire    *Hire          `json:"hire,omitempty"`
}

// controlTimeout bounds one order: the longest is a restart that drains.
const controlTimeout = drain + 10*time.Second

// serveControl answers orders on a free loopback port until close is called,
// and writes its URL into the state.
func (s *Supervisor) serveControl() (closeAPI func(), err error) {
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	server := &http.Server{
		Handler:           s.controlHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      controlTimeout + 5*time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	s.update(func(base *State, _ *bool) { base.Control = "http://" + listener.Addr().String() })
	return func() {
		_ = server.Close()
		<-done
	}, nil
}

// controlHandler routes the orders: every one is a POST with the token.
func (s *Supervisor) controlHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, act func(ctx context.Context, o order) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
				http.Error(w, "the token of state.json is required", http.StatusUnauthorized)
				return
			}
			var o order
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
				http.Error(w, "the body is not an order: "+err.Error(), http.StatusBadRequest)
				return
			}
			ctx, cancel := context.WithTimeoutCause(r.Context(), controlTimeout, errors.New("it took too long"))
			defer cancel()
			answer, err := act(ctx, o)
			switch {
			case errors.Is(err, errUnknownName):
				http.Error(w, err.Error(), http.StatusNotFound)
			case err != nil:
				http.Error(w, err.Error(), http.StatusConflict)
			default:
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(answer)
			}
		})
	}
	handle("/status", func(context.Context, order) (any, error) { return s.snapshot().State, nil })
	handle("/restart", func(ctx context.Context, o order) (any, error) { return struct{}{}, s.Restart(ctx, o.Name) })
	handle("/scale", func(ctx context.Context, o order) (any, error) { return struct{}{}, s.Scale(ctx, o.Service, o.N) })
	handle("/hire", func(_ context.Context, o order) (any, error) {
		if o.Hire == nil {
			return nil, errors.New("the order says nobody to hire")
		}
		return struct{}{}, s.Hire(*o.Hire)
	})
	handle("/dismiss", func(ctx context.Context, o order) (any, error) { return struct{}{}, s.Dismiss(ctx, o.Name) })
	handle("/hold", func(ctx context.Context, o order) (any, error) {
		return struct{}{}, s.Hold(ctx, o.Name, o.Signal, o.For)
	})
	return mux
}

// command sends an order to the supervisor of a mesh.
func (r record) command(ctx context.Context, path string, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout+2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Control+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the supervisor does not answer; run kitmesh down, then kitmesh up: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return errors.New(strings.TrimSpace(string(text)))
}
