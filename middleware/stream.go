package middleware

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/afex/hystrix-go/hystrix"
)

// streamStall is how long a client of the stream may take no data.
const streamStall = 10 * time.Second

// HystrixStream serves /hystrix.stream, which Hystrix dashboards read: the
// metrics of every command once a second. Unlike hystrix-go's own handler it
// sends its headers at once, not with the first circuit; it works behind
// middleware that wraps the ResponseWriter; and it ends with its client, with
// a client that reads nothing, and with Close.
type HystrixStream struct {
	inner *hystrix.StreamHandler
	done  context.Context
	end   context.CancelFunc
	once  sync.Once
}

// NewHystrixStream starts collecting. Close ends it.
func NewHystrixStream() *HystrixStream {
	s := &HystrixStream{inner: hystrix.NewStreamHandler()}
	s.done, s.end = context.WithCancel(context.Background())
	s.inner.Start()
	return s
}

// Close ends all streams and the collecting. Servers call it when they shut
// down (telemetry.Server.OnShutdown).
func (s *HystrixStream) Close() {
	s.once.Do(func() {
		s.end()
		s.inner.Stop()
	})
}

// ServeHTTP streams until the client leaves.
func (s *HystrixStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.done, cancel)()
	out := &streamWriter{ResponseWriter: w, control: http.NewResponseController(w), gone: make(chan bool, 1)}
	defer context.AfterFunc(ctx, out.stop)()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // proxies shall pass events on at once
	if err := out.control.Flush(); err != nil {
		h.Del("X-Accel-Buffering")
		http.Error(w, "this server cannot stream", http.StatusNotImplemented)
		return
	}
	s.inner.ServeHTTP(out, r.WithContext(ctx))
	_ = out.control.SetWriteDeadline(time.Time{}) // the connection may live on
}

// streamWriter gives hystrix-go the interfaces it asserts, on top of whatever
// wraps the connection.
type streamWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	gone    chan bool
}

// CloseNotify tells hystrix-go when to stop.
func (w *streamWriter) CloseNotify() <-chan bool { return w.gone }

// Flush sends what was written.
func (w *streamWriter) Flush() {
	if w.control.Flush() != nil {
		w.stop()
	}
}

// Write sends an event to a client that is given streamStall to take it.
func (w *streamWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(streamStall)) // not every writer has one
	return w.ResponseWriter.Write(b)
}

func (w *streamWriter) stop() {
	select {
	case w.gone <- true:
	default: // told already
	}
}
