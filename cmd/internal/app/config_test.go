package app

import (
	"errors"
	"flag"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	env := map[string]string{"KITMESH_LOG_LEVEL": "debug", "KITMESH_ZONE": "b", "KITMESH_TTL": "2s"}
	c, err := parse("catalog", []string{"--id", "catalog-7", "--zone", "c", "--work", "10ms"}, func(k string) string { return env[k] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Service != "catalog" || c.ID != "catalog-7" || c.LogLevel != "debug" || c.TTL != 2*time.Second || c.Work != 10*time.Millisecond {
		t.Errorf("%+v", c)
	}
	if c.Zone != "c" {
		t.Errorf("zone %q: the flag must win over the environment", c.Zone)
	}
	c, err = parse("catalog", nil, func(string) string { return "" }, io.Discard)
	if err != nil || !strings.HasPrefix(c.ID, "catalog-") || len(c.ID) == len("catalog-") {
		t.Errorf("id %q, %v: want one made of the host's name", c.ID, err)
	}
}

func TestParseConcurrency(t *testing.T) {
	for text, want := range map[string]concurrency{"": automatic, "--max-concurrency auto": automatic, "--max-concurrency 0": unbounded, "--max-concurrency 12": 12} {
		c, err := parse("catalog", strings.Fields(text), func(string) string { return "" }, io.Discard)
		if err != nil || c.MaxConcurrency != want {
			t.Errorf("%q: %v, %v", text, c.MaxConcurrency, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"--bogus":             "not defined: -bogus",
		"extra":               `flags only, not "extra"`,
		"--rpc 8080":          "not HOST:PORT",
		"--admin nowhere":     "--admin",
		"--rpc 0.0.0.0:99999": "not HOST:PORT",
		"--consul ::bad":      "--consul",
		"--zipkin nonsense":   "not a URL",
		"--sample NaN":        "outside 0 to 1",
		"--rate-limit NaN":    "--rate-limit",
		"--rate-limit Inf":    "--rate-limit",
		"--sample 1.5":        "outside 0 to 1",
		"--work -1s":          "negative",
		"--workers -1":        "negative",
		"--rate-limit -1":     "--rate-limit",
		"--max-concurrency x": "neither auto nor",
		"--ttl 1ms":           "under 100ms",
		"--ttl soon":          "invalid value",
		"--stack none":        "mesh or stock",
		"--balance hash":      "peak-ewma, least-request or round-robin",
		"--log-level loud":    "unknown",
		"--log-format binary": "unknown",
	} {
		_, err := parse("catalog", strings.Fields(args), func(string) string { return "" }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", args, err, says)
		}
	}
	if _, err := parse("catalog", nil, func(k string) string { return map[string]string{"KITMESH_WORKERS": "many"}[k] }, io.Discard); err == nil || !strings.Contains(err.Error(), "KITMESH_WORKERS") {
		t.Errorf("%v, want the variable named", err)
	}
}

func TestHelpListsEveryFlag(t *testing.T) {
	var out strings.Builder
	if _, err := parse("catalog", []string{"-h"}, func(string) string { return "" }, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, f := range []string{"id", "version", "zone", "rpc", "admin", "advertise", "consul", "broker", "zipkin", "sample", "log-level", "log-format", "work", "workers", "rate-limit", "max-concurrency", "ttl", "provider", "stack", "advertise-rpc", "source", "experiments", "faults"} {
		if !strings.Contains(out.String(), "\n  -"+f) {
			t.Errorf("-h does not tell of --%s", f)
		}
	}
}

func TestAdvertised(t *testing.T) {
	for _, c := range []struct{ advertise, listens, want string }{
		{"auto", "127.0.0.1:90", "127.0.0.1:90"},
		{"auto", "[::1]:90", "[::1]:90"},
		{"10.1.2.3", "0.0.0.0:90", "10.1.2.3:90"},
		{"shop.example", "[::]:90", "shop.example:90"},
	} {
		if got, err := advertised(c.advertise, c.listens); err != nil || got != c.want {
			t.Errorf("advertised(%q, %q) = %q, %v; want %q", c.advertise, c.listens, got, err, c.want)
		}
	}
	if got, err := advertised("auto", "0.0.0.0:90"); err == nil {
		host, _, _ := net.SplitHostPort(got)
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
			t.Errorf("0.0.0.0 is advertised as %q", got)
		}
	}
}
