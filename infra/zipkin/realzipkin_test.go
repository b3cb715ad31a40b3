package zipkin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startZipkin runs the real server until the test ends and returns its URL. It
// skips the test where there is no Java 17 or no jar: KITMESH_ZIPKIN_JAR names
// it, else it is where kitmesh up puts it.
func startZipkin(t *testing.T, env ...string) string {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("no java here: the real Zipkin is not asked")
	}
	jar := os.Getenv("KITMESH_ZIPKIN_JAR")
	if jar == "" {
		found, _ := filepath.Glob("../../bin/zipkin-server-*-exec.jar")
		if len(found) == 0 {
			t.Skip("no Zipkin jar: set KITMESH_ZIPKIN_JAR, or run kitmesh up once, which fetches it into bin/")
		}
		jar = found[len(found)-1]
	}
	port := freePort(t)
	cmd := exec.Command(java, "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", jar,
		"--armeria.ports[0].ip=127.0.0.1", fmt.Sprintf("--armeria.ports[0].port=%d", port),
		"--armeria.ports[0].protocols[0]=http", "--logging.level.root=WARN")
	cmd.Env = append(os.Environ(), append(env, fmt.Sprintf("QUERY_PORT=%d", port), "STORAGE_TYPE=mem")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	awaitHealth(t, url)
	return url
}

func awaitHealth(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Zipkin does not answer on %s: %v", url, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
