package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve runs a Proxy with its API on addr until ctx ends. The lines of file, a
// JSON list as POST /populate takes it, are there from the beginning; no file is
// no lines. ready is called with the API's URL.
func Serve(ctx context.Context, addr, file string, ready func(url string)) error {
	p := New()
	defer p.Close()
	if err := p.load(file); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	server := &http.Server{
		Handler: p.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	ready("http://" + listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (p *Proxy) load(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var lines []Config
	if err == nil {
		err = json.Unmarshal(text, &lines)
	}
	if err != nil {
		return fmt.Errorf("read the lines: %w", err)
	}
	return p.Populate(lines)
}
