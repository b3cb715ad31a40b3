//go:build compose

package composetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	shop   = "http://127.0.0.1:8080"
	consul = "http://127.0.0.1:8500"
	zipkin = "http://127.0.0.1:9411"

	upPatience   = 4 * time.Minute
	downPatience = 2 * time.Minute
	oneCommand   = time.Minute
	oneRequest   = 5 * time.Second
	soon         = 45 * time.Second // for what the mesh does by itself
)

// root is the repository, where docker-compose.yml is.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "docker-compose.yml")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// docker runs the docker command in the repository and returns what it printed.
func docker(t *testing.T, patience time.Duration, args ...string) string {
	t.Helper()
	out, err := try(t, patience, "docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kitmesh runs the operator's tool on the stack.
func kitmesh(t *testing.T, patience time.Duration, args ...string) string {
	t.Helper()
	out, err := try(t, patience, tool(t), append(args, "--target", "compose")...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tool(t *testing.T) string {
	t.Helper()
	path := filepath.Join(root(t), "bin", "kitmesh")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return path
}

// try runs a command for at most patience; it ends with the test at the latest.
func try(t *testing.T, patience time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	// Not the test's own context: tearing down goes on after that has ended.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root(t), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "),
			errors.Join(ctx.Err(), err), tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String(), nil
}

// tail keeps the end of an output, where the trouble is.
func tail(s string) string { return s[max(0, len(s)-4000):] }

// up starts the stack and tears it down, volumes too, when the test ends, in
// whatever way it does.
func up(t *testing.T) {
	t.Helper()
	if there := docker(t, oneCommand, "ps", "-aq", "--filter", "label=com.docker.compose.project=kitmesh"); there != "" {
		t.Fatal("a kitmesh stack is up: this test would take it down with its data; run docker compose down first")
	}
	docker(t, oneCommand, "compose", "config", "--quiet")
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := try(t, oneCommand, "docker", "compose", "logs", "--no-color", "--tail", "40")
			states, _ := try(t, oneCommand, "docker", "compose", "ps", "--all")
			t.Logf("%s\n%s", states, logs)
		}
		if _, err := try(t, downPatience, "docker", "compose", "down", "--volumes", "--remove-orphans", "--timeout", "20"); err != nil {
			t.Error(err)
		}
		if left := docker(t, oneCommand, "ps", "-aq", "--filter", "label=com.docker.compose.project=kitmesh"); left != "" {
			t.Errorf("containers left behind: %s", left)
		}
	})
	began := time.Now()
	docker(t, 10*time.Minute, "compose", "--progress", "quiet", "build")
	t.Logf("image built in %.0f s", time.Since(began).Seconds())
	began = time.Now()
	docker(t, upPatience, "compose", "--progress", "quiet", "up", "--detach", "--wait", "--wait-timeout", "180")
	t.Logf("stack up and healthy in %.0f s", time.Since(began).Seconds())
}

// eventually polls until check returns nil, and fails with its last error.
func eventually(t *testing.T, patience time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", patience, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// get decodes the JSON at url into answer; any status but 200 is an error.
func get(url string, answer any) error {
	ctx, cancel := context.WithTimeout(context.Background(), oneRequest)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	return exchange(req, http.StatusOK, answer)
}

// exchange sends a request and decodes the answer, which must have the status.
func exchange(req *http.Request, want int, answer any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, resp.Status, tail(string(body)))
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s %s: %w: %s", req.Method, req.URL, err, tail(string(body)))
	}
	return nil
}
