package middleware

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

const (
	streamEvery = time.Second
	streamStall = 10 * time.Second // how long a client of the stream may take no data
)

// HystrixStream serves /hystrix.stream, which Hystrix dashboards read: the
// figures of every command made by Hystrix, at once and then every second.
//
// Unlike hystrix-go's own handler it changes nothing by looking (that one opens
// circuits), it knows our bulkheads and fallbacks, it sends its headers at once
// and works behind middleware that wraps the ResponseWriter, and it ends with
// its client, with a client that reads nothing, and with Close.
type HystrixStream struct {
	done context.Context
	end  context.CancelFunc
}

// NewHystrixStream returns a stream that serves until Close.
func NewHystrixStream() *HystrixStream {
	s := &HystrixStream{}
	s.done, s.end = context.WithCancel(context.Background())
	return s
}

// Close ends all streams. Servers call it when they shut down
// (telemetry.Server.OnShutdown). It may be called any number of times.
func (s *HystrixStream) Close() { s.end() }

// ServeHTTP streams until the client leaves.
func (s *HystrixStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.done, cancel)()
	control := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // proxies shall pass events on at once
	if err := control.Flush(); err != nil {
		h.Del("X-Accel-Buffering")
		http.Error(w, "this server cannot stream", http.StatusNotImplemented)
		return
	}
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may live on
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	for send(w, control, time.Now()) == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// send writes the figures of all commands to a client that is given streamStall
// to take them.
func send(w http.ResponseWriter, control *http.ResponseController, now time.Time) error {
	_ = control.SetWriteDeadline(now.Add(streamStall)) // not every writer has one
	for _, c := range enlisted() {
		for _, event := range []map[string]any{c.commandEvent(now), c.poolEvent(now)} {
			text, err := json.Marshal(event)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(append([]byte("data:"), text...), "\n\n"...)); err != nil {
				return err
			}
		}
	}
	return control.Flush()
}
