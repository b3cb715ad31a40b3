// Package consul makes the client that the mesh talks to Consul with: one whose
// calls end even when Consul is frozen or the network swallows packets.
package consul

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	dialTimeout = time.Second
	// headerTimeout is the last resort for calls made without a deadline. It is
	// longer than the longest blocking query, which answers only when it ends.
	headerTimeout = 90 * time.Second
	// connsPerHost stays below the 200 connections that Consul accepts from one
	// address by default; every blocked query holds one.
	connsPerHost = 100
)

// Client returns a client of the Consul agent at addr, such as
// "http://127.0.0.1:8500" or "127.0.0.1:8500", with an optional ACL token. It
// contacts nobody; an address that makes no sense is refused.
func Client(addr, token string) (*api.Client, error) {
	if err := check(addr); err != nil {
		return nil, err
	}
	client, err := api.NewClient(&api.Config{Address: addr, Token: token, Transport: transport()})
	if err != nil {
		return nil, fmt.Errorf("consul %s: %w", addr, err)
	}
	return client, nil
}

func check(addr string) error {
	if u, err := url.Parse(addr); err == nil && u.Host != "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if _, notNumber := strconv.ParseUint(port, 10, 16); err != nil || notNumber != nil {
		return fmt.Errorf("consul address %q: want a URL such as http://127.0.0.1:8500", addr)
	}
	return nil
}

// transport bounds every phase of a call. TCP keep-alive finds a Consul whose
// host vanished while a query is blocked, in about 15 s.
func transport() *http.Transport {
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3,
		},
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		Proxy:                 nil, // the registry is never behind a web proxy
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		MaxConnsPerHost:       connsPerHost,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
	}
}
