package zipkin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is one request and the answer it must get.
type step struct {
	method string // POST if there is a body, else GET
	path   string
	header string // "Name: value", several with ;
	body   string
	gzip   bool
	status int
	want   string // JSON is compared up to the order of lists, text exactly; "*" is anything
}

// contractCase has a service, trace ids and a stretch of time of its own, so
// that all cases run on one server: in its steps, $ is the case's number as 4
// hex digits and T its time in seconds, so that T000005 is 5 µs into it and
// T005 is 5 ms into it.
type contractCase struct {
	name  string
	steps []step
}

// TestContract holds the embedded collector to the same answers as Zipkin.
func TestContract(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		server := httptest.NewServer(NewAPI(NewStore(Limits{}, []string{"env", "instance"})))
		defer server.Close()
		runContract(t, server.URL)
	})
	t.Run("zipkin", func(t *testing.T) {
		runContract(t, startZipkin(t, "AUTOCOMPLETE_KEYS=env,instance"))
	})
}

func runContract(t *testing.T, url string) {
	cases := slices.Concat(collectCases, decodeCases(), protoCases, queryCases, linkCases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			names := strings.NewReplacer("~", fmt.Sprintf("%04x", i+1), "@", strconv.Itoa(1_000_000_000+1000*i))
			for _, s := range c.steps {
				s.path = names.Replace(s.path)
				if !strings.Contains(s.header, "protobuf") {
					s.body = names.Replace(s.body)
				}
				s.want = names.Replace(s.want)
				s.run(t, url)
			}
		})
	}
}

func (s step) run(t *testing.T, url string) {
	t.Helper()
	if s.method == "" {
		s.method = http.MethodGet
		if s.body != "" {
			s.method = http.MethodPost
		}
	}
	body := []byte(s.body)
	if s.gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(t.Context(), s.method, url+s.path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for h := range strings.SplitSeq(s.header, ";") {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	if s.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := (&http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != s.status {
		t.Errorf("%s %s %.200s: status %d, want %d; body %.300s", s.method, s.path, s.body, resp.StatusCode, s.status, got)
	}
	if s.want != "*" && normal(string(got)) != normal(s.want) {
		t.Errorf("%s %s %.200s:\n got %s\nwant %s", s.method, s.path, s.body, got, s.want)
	}
}

// normal brings JSON into one form whatever the order of its lists; text stays.
func normal(text string) string {
	text = strings.TrimRight(text, "\x00") // Zipkin sends too many bytes after an escaped U+2028
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		return text
	}
	return inOrder(v)
}

func inOrder(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, inOrder(e))
		}
		slices.Sort(parts)
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, strconv.Quote(k)+":"+inOrder(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// TestContractCanFail: the comparison sees what it must see.
func TestContractCanFail(t *testing.T) {
	for _, pair := range [][2]string{
		{`[1,2]`, `[1]`}, {`[{"a":1}]`, `[{"a":"1"}]`}, {`[{"a":1}]`, `[{"a":1,"b":2}]`}, {`x`, `x `}, {`[]`, ``},
	} {
		if normal(pair[0]) == normal(pair[1]) {
			t.Errorf("%q passes for %q", pair[0], pair[1])
		}
	}
	if normal(`[[1,2],[3]]`) != normal(`[[3],[2,1]]`) {
		t.Error("the order of lists matters")
	}
}
