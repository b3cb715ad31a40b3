package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// serviceName is the provider in traces and as the origin of failures.
const serviceName = "provider"

// ClientOptions bounds a client; the zero value is usable.
type ClientOptions struct {
	TryTimeout time.Duration  // one request; 0 means 2 s
	Tries      int            // requests per call, with the same key; 0 means 3
	Tracer     *zipkin.Tracer // nil: no spans
}

// Client calls a provider. It repeats a call whose outcome is unknown under the
// same idempotency key, so that it takes effect once.
type Client struct {
	base string
	opts ClientOptions
	http *http.Client
}

// NewClient returns a client of the provider at base, such as
// "http://127.0.0.1:9090".
func NewClient(base string, o ClientOptions) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("provider: %q is not a URL; write http://host:port", base)
	}
	if o.TryTimeout <= 0 {
		o.TryTimeout = 2 * time.Second
	}
	if o.Tries <= 0 {
		o.Tries = 3
	}
	transport := &http.Transport{
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 64, // the default of 2 would open a connection per payment
		IdleConnTimeout:     30 * time.Second,
	}
	return &Client{base: strings.TrimRight(base, "/"), opts: o, http: &http.Client{Transport: transport}}, nil
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Authorise holds amount (minor units) and returns the provider's name for it.
// It fails with fault.Declined when the card is refused, for good.
func (c *Client) Authorise(ctx context.Context, key string, amount int64, currency string) (reference string, err error) {
	r, err := c.call(ctx, OpAuthorise, key, body{Amount: amount, Currency: currency})
	return r.Reference, err
}

// Capture takes what was authorised under reference. It fails with
// fault.Conflict when that was given back, fault.NotFound when it never was.
func (c *Client) Capture(ctx context.Context, key, reference string) error {
	_, err := c.call(ctx, OpCapture, key, body{Reference: reference})
	return err
}

// Void gives back what was authorised under reference. It fails with
// fault.Conflict when that was captured, fault.NotFound when it never was.
func (c *Client) Void(ctx context.Context, key, reference string) error {
	_, err := c.call(ctx, OpVoid, key, body{Reference: reference})
	return err
}

// Ledger returns everything the provider ever did.
func (c *Client) Ledger(ctx context.Context) ([]Entry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/ledger", nil)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	var l Ledger
	_, err = c.send(req, &l)
	return l.Entries, err
}

// call repeats op until its outcome is known, the tries are used up or ctx ends.
func (c *Client) call(ctx context.Context, op Op, key string, b body) (receipt, error) {
	payload, err := json.Marshal(b)
	if err != nil {
		return receipt{}, fmt.Errorf("provider: %w", err)
	}
	for try := 1; ; try++ {
		r, err := c.try(ctx, op, key, payload, try)
		if err == nil || !fault.Retryable(err) || try == c.opts.Tries {
			return r, fault.From(serviceName, err)
		}
		if !wait(ctx, 20*time.Millisecond<<try/2+rand.N(20*time.Millisecond)) {
			return receipt{}, fault.From(serviceName, err)
		}
	}
}

func (c *Client) try(ctx context.Context, op Op, key string, payload []byte, try int) (r receipt, err error) {
	tctx, cancel := context.WithTimeout(ctx, c.opts.TryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(tctx, http.MethodPost, c.base+"/"+string(op), bytes.NewReader(payload))
	if err != nil {
		return r, fmt.Errorf("provider: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(HeaderKey, key)
	span := c.startSpan(ctx, req, op, try)
	status, err := c.send(req, &r)
	if span != nil {
		if status > 0 {
			zipkin.TagHTTPStatusCode.Set(span, strconv.Itoa(status))
		}
		if err != nil {
			zipkin.TagError.Set(span, string(fault.CodeOf(err)))
		}
		span.Finish()
	}
	// The try's own deadline says nothing about the caller's.
	if err != nil && ctx.Err() != nil {
		err = fault.Wrap(fault.CodeOf(ctx.Err()), err, "the provider's answer came too late; its outcome is unknown")
	}
	return r, err
}

// startSpan starts a CLIENT span per try when the request is traced.
func (c *Client) startSpan(ctx context.Context, req *http.Request, op Op, try int) zipkin.Span {
	if c.opts.Tracer == nil || zipkin.SpanFromContext(ctx) == nil {
		return nil
	}
	span, _ := c.opts.Tracer.StartSpanFromContext(ctx, "provider."+string(op), zipkin.Kind(model.Client),
		zipkin.RemoteEndpoint(&model.Endpoint{ServiceName: serviceName}))
	span.Tag("try", strconv.Itoa(try))
	b3.Inject(span.Context(), req.Header.Set)
	return span
}

// send performs one request and decodes the answer into v. Failures are faults.
func (c *Client) send(req *http.Request, v any) (status int, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "the payment provider does not answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, refusal(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return resp.StatusCode, fault.Wrap(fault.Unavailable, err, "the payment provider's answer broke off")
	}
	return resp.StatusCode, nil
}

// refusal turns an answer other than 200 into a fault.
func refusal(resp *http.Response) error {
	var p problem
	err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&p)
	for code, status := range statuses {
		if status == resp.StatusCode && err == nil {
			return fault.New(code, "%s", p.Detail)
		}
	}
	return fault.Wrap(fault.Unavailable, errors.Join(err, errors.New(resp.Status)), "the payment provider failed; its outcome is unknown")
}
