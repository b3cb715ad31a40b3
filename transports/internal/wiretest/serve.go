package wiretest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rest"
)

// GRPC serves what register registers in memory and returns a connection to it.
func GRPC(t *testing.T, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

// REST serves the routes as a process would and returns the base URL.
func REST(t *testing.T, routes []rest.Route) string {
	t.Helper()
	return HTTP(t, rest.Trace(nil, rest.NewHandler(routes)))
}

// HTTP serves h and returns the base URL.
func HTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// Call is the client of one REST route as an endpoint: it takes the pattern and
// the tags of Req the way rest.Handle does, the other way round.
func Call[Req, Resp any](base, pattern string) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		r, err := newRequest(ctx, base, pattern, reflect.ValueOf(request.(Req)))
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= http.StatusBadRequest {
			return nil, problem(resp, body)
		}
		var out Resp
		if err := json.Unmarshal(body, &out); err != nil {
			return nil, fmt.Errorf("response %s: %w", body, err)
		}
		return out, nil
	}
}

func newRequest(ctx context.Context, base, pattern string, v reflect.Value) (*http.Request, error) {
	method, path, _ := strings.Cut(pattern, " ")
	query, header := url.Values{}, http.Header{}
	for i := range v.NumField() {
		tag, text := v.Type().Field(i).Tag, fmt.Sprint(v.Field(i))
		if name, ok := tag.Lookup("path"); ok {
			path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
		}
		if name, ok := tag.Lookup("query"); ok {
			query.Set(name, text)
		}
		if name, ok := tag.Lookup("header"); ok {
			header.Set(name, text)
		}
	}
	var body io.Reader
	if method == http.MethodPost {
		data, err := json.Marshal(v.Interface())
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
		header.Set("Content-Type", "application/json")
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	r.Header = header
	return r, nil
}

func problem(resp *http.Response, body []byte) error {
	var p rest.Problem
	if err := json.Unmarshal(body, &p); err != nil || resp.Header.Get("Content-Type") != rest.ProblemType {
		return fmt.Errorf("%d is no problem document: %s", resp.StatusCode, body)
	}
	if p.Status != resp.StatusCode || p.TraceID == "" || p.TraceID != resp.Header.Get(rest.TraceHeader) {
		return fmt.Errorf("%d contradicts its problem document: %s", resp.StatusCode, body)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return &fault.Error{Code: p.Code, Message: p.Detail, RetryAfter: time.Duration(seconds) * time.Second}
}
