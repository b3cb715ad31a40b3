package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a provider and returns it with a client and its ledger's file.
func start(t *testing.T, o provider.Options) (*provider.Server, *provider.Client) {
	t.Helper()
	if o.Ledger == "" {
		o.Ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	}
	s, err := provider.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := client(t, s.URL(), provider.ClientOptions{Tries: 20, TryTimeout: time.Second})
	return s, c
}

func client(t *testing.T, url string, o provider.ClientOptions) *provider.Client {
	t.Helper()
	c, err := provider.NewClient(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func ledger(t *testing.T, c *provider.Client) []provider.Entry {
	t.Helper()
	entries, err := c.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func want(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want code %q", what, err, code)
	}
}

func TestOneEffectPerKey(t *testing.T) {
	_, c := start(t, provider.Options{})
	ctx := t.Context()
	ref, err := c.Authorise(ctx, "o1/authorise", 1200, "EUR")
	want(t, "authorise", err, "")
	again, err := c.Authorise(ctx, "o1/authorise", 1200, "EUR")
	want(t, "authorise again", err, "")
	if ref == "" || ref != again {
		t.Errorf("references %q and %q, want the same", ref, again)
	}
	_, err = c.Authorise(ctx, "o1/authorise", 1300, "EUR")
	want(t, "another amount", err, fault.KeyReused)
	want(t, "another operation", c.Capture(ctx, "o1/authorise", ref), fault.KeyReused)
	want(t, "capture", c.Capture(ctx, "o1/capture", ref), "")
	want(t, "capture again", c.Capture(ctx, "o1/capture", ref), "")
	want(t, "void of a capture", c.Void(ctx, "o1/void", ref), fault.Conflict)
	want(t, "capture of nothing", c.Capture(ctx, "o2/capture", "auth_none"), fault.NotFound)

	ref, err = c.Authorise(ctx, "o3/authorise", 5, "EUR")
	want(t, "authorise", err, "")
	want(t, "void", c.Void(ctx, "o3/void", ref), "")
	want(t, "capture of a void", c.Capture(ctx, "o3/capture", ref), fault.Conflict)
	if n := len(ledger(t, c)); n != 4 {
		t.Errorf("%d entries, want 4", n)
	}
}

// TestUnknownOutcomesHaveOneEffect repeats calls whose answers are lost in
// every way the provider knows, from many callers at once.
func TestUnknownOutcomesHaveOneEffect(t *testing.T) {
	_, c := start(t, provider.Options{ErrorRate: 0.2, ErrorAfterRate: 0.2, LoseReplyRate: 0.2})
	const orders = 40
	var wg sync.WaitGroup
	for i := range orders * 2 { // two callers per order
		wg.Go(func() {
			key := fmt.Sprint("o", i%orders)
			ref, err := c.Authorise(t.Context(), key+"/authorise", 100, "EUR")
			if err != nil {
				t.Errorf("%s: %v", key, err)
				return
			}
			if err := c.Capture(t.Context(), key+"/capture", ref); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for i, e := range ledger(t, c) {
		seen[e.Key]++
		if e.Seq != i+1 {
			t.Errorf("entry %d has the sequence %d", i+1, e.Seq)
		}
	}
	if len(seen) != orders*2 {
		t.Errorf("%d keys in the ledger, want %d", len(seen), orders*2)
	}
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s has %d effects", k, n)
		}
	}
}

func TestDeclinesBelongToTheKey(t *testing.T) {
	_, c := start(t, provider.Options{DeclineRate: 0.3})
	declined := 0
	for i := range 200 {
		key := fmt.Sprint("o", i)
		_, err := c.Authorise(t.Context(), key, 100, "EUR")
		_, again := c.Authorise(t.Context(), key, 100, "EUR")
		if fault.CodeOf(err) != fault.CodeOf(again) {
			t.Errorf("%s: first %v, then %v", key, err, again)
		}
		if err != nil {
			want(t, key, err, fault.Declined)
			declined++
		}
	}
	if declined < 30 || declined > 90 {
		t.Errorf("%d of 200 declined at a rate of 0.3", declined)
	}
}

// TestReload cuts the ledger as a kill in the middle of a write would, and
// damages it as nothing may.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "ledger.jsonl")
	run := func() (*provider.Server, *provider.Client) {
		s, err := provider.Start(t.Context(), provider.Options{Ledger: path})
		if err != nil {
			t.Fatal(err)
		}
		return s, client(t, s.URL(), provider.ClientOptions{})
	}
	s, c := run()
	ref, err := c.Authorise(t.Context(), "a", 100, "EUR")
	want(t, "authorise", err, "")
	if _, err := provider.Start(t.Context(), provider.Options{Ledger: path}); err == nil {
		t.Error("a second provider took the ledger")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(slices.Clip(whole), `{"seq":2,"op":"capt`...)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	s, c = run()
	if got := ledger(t, c); len(got) != 1 || got[0].Reference != ref {
		t.Errorf("after the torn line: %v", got)
	}
	want(t, "capture after the reload", c.Capture(t.Context(), "b", ref), "")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s, c = run()
	if got := ledger(t, c); len(got) != 2 {
		t.Errorf("%d entries after the second reload, want 2", len(got))
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"damaged line": "{nonsense}\n" + string(whole),
		"gap":          strings.ReplaceAll(string(whole), `"seq":1`, `"seq":7`),
		"orphan":       strings.ReplaceAll(string(whole), `"authorise"`, `"capture"`),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := provider.Start(t.Context(), provider.Options{Ledger: path}); err == nil {
			_ = s.Stop()
			t.Errorf("%s: the provider started", name)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s, _ := start(t, provider.Options{})
	for name, tc := range map[string]struct {
		method, path, key, body string
		status                  int
	}{
		"no key":        {"POST", "/authorise", "", `{"amount":1,"currency":"EUR"}`, 400},
		"long key":      {"POST", "/authorise", strings.Repeat("k", 300), `{"amount":1,"currency":"EUR"}`, 400},
		"no JSON":       {"POST", "/authorise", "k", `amount`, 400},
		"unknown field": {"POST", "/authorise", "k", `{"amount":1,"currency":"EUR","x":1}`, 400},
		"no amount":     {"POST", "/authorise", "k", `{"currency":"EUR"}`, 400},
		"negative":      {"POST", "/authorise", "k", `{"amount":-1,"currency":"EUR"}`, 400},
		"no reference":  {"POST", "/void", "k", `{}`, 400},
		"large":         {"POST", "/void", "k", `{"reference":"` + strings.Repeat("r", 10000) + `"}`, 400},
		"method":        {"GET", "/authorise", "k", ``, 405},
		"path":          {"POST", "/refund", "k", `{}`, 404},
		"health":        {"GET", "/healthz", "", ``, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, s.URL()+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		if tc.key != "" {
			req.Header.Set(provider.HeaderKey, tc.key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tc.status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestBadOptions(t *testing.T) {
	for _, o := range []provider.Options{{}, {Ledger: "x", DeclineRate: 2}, {Ledger: "x", ErrorRate: -1}, {Ledger: "x", Latency: -1},
		{Ledger: "x", Addr: "nowhere"}} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v passed", o)
		}
	}
	for _, u := range []string{"", "localhost:1", "ftp://x", "http://"} {
		if _, err := provider.NewClient(u, provider.ClientOptions{}); err == nil {
			t.Errorf("%q passed as a URL", u)
		}
	}
}

func TestProviderAwayOrTooSlow(t *testing.T) {
	c := client(t, "http://127.0.0.1:1", provider.ClientOptions{Tries: 2})
	_, err := c.Authorise(t.Context(), "k", 1, "EUR")
	want(t, "nobody there", err, fault.Unavailable)
	if fault.Blames(err) {
		t.Errorf("%v is held against the instance that passes it on", err)
	}

	s, _ := start(t, provider.Options{Latency: 10 * time.Second})
	slow := client(t, s.URL(), provider.ClientOptions{Tries: 2, TryTimeout: 20 * time.Millisecond})
	_, err = slow.Authorise(t.Context(), "k", 1, "EUR")
	want(t, "slower than a try", err, fault.Unavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	slow = client(t, s.URL(), provider.ClientOptions{})
	_, err = slow.Authorise(ctx, "k", 1, "EUR")
	want(t, "slower than the caller", err, fault.Deadline)
}

// BenchmarkAuthorise shows the group commit: many callers per sync.
func BenchmarkAuthorise(b *testing.B) {
	s, err := provider.Start(b.Context(), provider.Options{Ledger: filepath.Join(b.TempDir(), "l")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	c, err := provider.NewClient(s.URL(), provider.ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Authorise(b.Context(), fmt.Sprint("k", n.Add(1)), 1, "EUR"); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "authorisations/s")
}
