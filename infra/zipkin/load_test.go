package zipkin

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// orderTrace writes the ten spans of one order as the mesh reports them.
func orderTrace(b *bytes.Buffer, n int) {
	at := time.Now().UnixMicro() - 3_600_000_000 + int64(n)*100
	services := []string{"edge", "gateway", "orders", "shipping", "pricing", "inventory", "payments"}
	for i := range 10 {
		from, to := services[i%7], services[(i+1)%7]
		b.WriteString(map[bool]string{true: "[", false: ","}[b.Len() == 0])
		fmt.Fprintf(b, `{"traceId":"4e441824ec2b6a44%016x","id":"%016x","parentId":"%016x","kind":"CLIENT","name":"%s.Place","timestamp":%d,"duration":%d,`+
			`"localEndpoint":{"serviceName":"%s","ipv4":"127.0.0.1","port":%d},"remoteEndpoint":{"serviceName":"%s","ipv4":"127.0.0.1","port":41234},`+
			`"tags":{"instance":"%s-2","try":"1","breaker":"closed","zone":"local"}}`,
			n+1, n*16+i+1, n*16+i, to, at+int64(i), 1000+n%5000, from, 40000+i, to, to)
	}
}

// bodies makes requests of 100 spans each, all of them different.
func bodies(from, spans int) [][]byte {
	var list [][]byte
	for n := from / 10; n < (from+spans)/10; n += 10 {
		var b bytes.Buffer
		for i := range 10 {
			orderTrace(&b, n+i)
		}
		list = append(list, append(b.Bytes(), ']'))
	}
	return list
}

func send(tb testing.TB, api http.Handler, body []byte) {
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v2/spans", bytes.NewReader(body)))
	if w.Code != http.StatusAccepted {
		tb.Fatalf("status %d: %s", w.Code, w.Body)
	}
}

func ask(tb testing.TB, api http.Handler, path string) time.Duration {
	w := httptest.NewRecorder()
	began := time.Now()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	took := time.Since(began)
	if w.Code != http.StatusOK {
		tb.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	return took
}

// TestLoad pushes spans through the API until most of them had to go again:
// memory stays within its bound, and the newest traces are there at once.
// KITMESH_LOAD_SPANS=1000000 is the full size.
func TestLoad(t *testing.T) {
	total := 50_000
	if n, err := strconv.Atoi(os.Getenv("KITMESH_LOAD_SPANS")); err == nil {
		total = n
	}
	before := heap()
	store := NewStore(Limits{Spans: total / 2, Bytes: int64(total) * 300}, nil)
	api := NewAPI(store)
	began := time.Now()
	for at := 0; at < total; at += 1000 {
		for _, body := range bodies(at, 1000) {
			send(t, api, body)
		}
	}
	took := time.Since(began)
	stats, held := store.Stats(), heap()-before
	t.Logf("%d spans in %s (with the making of them); held %+v; heap %d MiB, bound %d MiB",
		total, took.Round(time.Millisecond), stats, held>>20, store.limits.Bytes>>20)
	if stats.Spans > store.limits.Spans || stats.Bytes > store.limits.Bytes {
		t.Errorf("over the bound: %+v", stats)
	}
	if held > store.limits.Bytes*11/10 {
		t.Errorf("the heap holds %d bytes, the bound is %d", held, store.limits.Bytes)
	}
	var times []time.Duration
	for range 20 {
		times = append(times, ask(t, api, "/api/v2/traces?serviceName=orders&limit=10"))
	}
	slices.Sort(times)
	t.Logf("newest traces: median %s, worst %s", times[10], times[19])
	if worst := times[19]; worst > 50*time.Millisecond && !raceEnabled {
		t.Errorf("the newest traces took %s, want at most 50 ms", worst)
	}
	runtime.KeepAlive(store)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkCollect takes JSON in requests of 100 spans, from all processors.
// When a request comes again, its spans were evicted: every span is a new one.
func BenchmarkCollect(b *testing.B) {
	api := NewAPI(NewStore(Limits{Spans: 100_000}, nil))
	all := bodies(0, 200_000)
	b.ReportAllocs()
	b.ResetTimer()
	next := make(chan int, 1)
	next <- 0
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := <-next
			next <- i + 1
			send(b, api, all[i%len(all)])
		}
	})
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "spans/s")
}

// BenchmarkQuery asks a store of 500,000 spans.
func BenchmarkQuery(b *testing.B) {
	api := NewAPI(NewStore(Limits{Spans: 500_000, Bytes: 1 << 30}, nil))
	for _, body := range bodies(0, 500_000) {
		send(b, api, body)
	}
	now := time.Now().UnixMilli()
	for name, path := range map[string]string{
		"newest":       "/api/v2/traces?limit=10",
		"service":      "/api/v2/traces?serviceName=orders&limit=10",
		"slow":         "/api/v2/traces?serviceName=orders&minDuration=5990",
		"tag":          "/api/v2/traces?annotationQuery=instance%3Dorders-2%20and%20try%3D1",
		"nothing":      "/api/v2/traces?annotationQuery=error",
		"one":          "/api/v2/trace/4e441824ec2b6a440000000000000abc",
		"services":     "/api/v2/services",
		"dependencies": fmt.Sprintf("/api/v2/dependencies?endTs=%d", now),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask(b, api, path)
			}
		})
	}
}
