package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// TriesHeader is how the edge tells how many instances it asked.
const TriesHeader = "X-Kitmesh-Tries"

const maxAnswer = 4 << 20 // bytes of an answer that are read

// shop is the HTTP client of the shop's front door.
type shop struct {
	base   string
	client *http.Client
}

func newShop(base string, connections int) *shop {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &shop{base: base, client: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
}

func (s *shop) close() { s.client.CloseIdleConnections() }

type request struct {
	method string
	path   string
	key    string // Idempotency-Key
	body   []byte
}

// reply is an answer read to its end, or the error that came instead.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	err      error
	attempts int // connections the request was given; 0: nothing was sent
}

// send makes one request. The transport itself may repeat a request whose kept
// connection turns out to be dead, as browsers do; attempts counts it.
func (s *shop) send(ctx context.Context, r request) reply {
	var attempts atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { attempts.Add(1) },
	})
	req, err := http.NewRequestWithContext(ctx, r.method, s.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return reply{err: err}
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return reply{err: err, attempts: int(attempts.Load())}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return reply{
		status: resp.StatusCode, header: resp.Header, body: body, err: err, attempts: int(attempts.Load()),
	}
}

// tries returns how many instances the edge asked, 1 when it does not say.
func (r reply) tries() int {
	if n, err := strconv.Atoi(r.header.Get(TriesHeader)); err == nil && n > 0 {
		return n
	}
	return 1
}

// problemCode returns the code of a problem document, or "http_NNN".
func (r reply) problemCode() string {
	var problem struct {
		Code string `json:"code"`
	}
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") &&
		json.Unmarshal(r.body, &problem) == nil && problem.Code != "" {
		return problem.Code
	}
	return fmt.Sprintf("http_%d", r.status)
}

// errorCode names what happened instead of an answer.
func (r reply) errorCode() string {
	var netErr net.Error
	var opErr *net.OpError
	switch {
	case r.attempts == 0 && !errors.Is(r.err, context.Canceled): // the time ran out, or nobody listened
		return "connect"
	case errors.Is(r.err, context.DeadlineExceeded), errors.As(r.err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.As(r.err, &opErr) && opErr.Op == "dial": // the repetition of a request met nobody
		return "connect"
	case errors.Is(r.err, context.Canceled):
		return "canceled"
	}
	return "reset"
}

// The shapes of the shop's answers, as far as the generator looks at them.
type (
	// Line is a number of units of one SKU.
	Line struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	listing struct {
		Products []struct {
			SKU string `json:"sku"`
		} `json:"products"`
		NextPageToken string   `json:"next_page_token"`
		Partial       []string `json:"partial"`
	}
	productPage struct {
		SKU       string   `json:"sku"`
		Available *int     `json:"available"`
		Partial   []string `json:"partial"`
	}
	order struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Lines  []Line `json:"lines"`
		Total  struct {
			Amount int64 `json:"amount"`
		} `json:"total"`
	}
)
