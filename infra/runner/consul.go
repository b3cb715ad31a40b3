package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// consulVersion is what tools/consul pins and what is built when there is none.
const consulVersion = "1.22.3"

// consulChoice is where the mesh's Consul comes from: a program to run, or the
// URL of one that runs already.
type consulChoice struct{ path, url string }

// chooseConsul follows --consul: auto, the path of a program, or a URL.
func chooseConsul(ctx context.Context, choice, bin, mark string, out Output) (consulChoice, error) {
	if IsURL(choice) {
		return consulChoice{url: strings.TrimRight(choice, "/")}, nil
	}
	if choice != "" && choice != "auto" {
		if !Executable(choice) {
			return consulChoice{}, fmt.Errorf("--consul: %s is not a program; give auto, a path or a URL", choice)
		}
		path, err := filepath.Abs(choice)
		return consulChoice{path: path}, err
	}
	if path, err := exec.LookPath("consul"); err == nil && consulRecent(ctx, mark, path) {
		path, err = filepath.Abs(path)
		return consulChoice{path: path}, err
	}
	keep, err := keepDir(bin)
	if err != nil {
		return consulChoice{}, err
	}
	for _, dir := range []string{bin, keep} {
		if path := filepath.Join(dir, "consul"); Executable(path) {
			return consulChoice{path: path}, nil
		}
	}
	path := filepath.Join(keep, "consul")
	return consulChoice{path: path}, BuildConsul(ctx, bin, path, mark, out)
}

// IsURL says whether s is an absolute HTTP URL.
func IsURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

var consulVersionLine = regexp.MustCompile(`Consul v(\d+)\.(\d+)`)

// consulRecent says whether the program is Consul 1.15 or later.
func consulRecent(ctx context.Context, mark, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := toolCommand(ctx, mark, path, "version").Output()
	m := consulVersionLine.FindSubmatch(text)
	if err != nil || m == nil {
		return false
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	return major > 1 || major == 1 && minor >= 15
}

// BuildConsul builds the pinned Consul from the Go module proxy into path, as
// the nested module tools/consul says. Two callers at once build it once.
func BuildConsul(ctx context.Context, bin, path, mark string, out Output) error {
	module, err := consulModule(bin)
	if err != nil {
		return err
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("no Consul here and no Go to build it; install Consul 1.15 or later, or Go, or pass --consul URL")
	}
	lock, err := waitLock(ctx, filepath.Join(filepath.Dir(path), ".consul.lock"), 20*time.Minute)
	if err != nil {
		return fmt.Errorf("wait for another build of Consul: %w", err)
	}
	defer lock.release()
	if Executable(path) {
		return nil
	}
	out.Line(fmt.Sprintf("building Consul %s once into %s (about 5 minutes)", consulVersion, path))
	tmp := path + ".building"
	defer os.Remove(tmp) // already renamed when all went well
	cmd := toolCommand(ctx, mark, goTool, "build", "-v", "-trimpath", "-ldflags=-s -w", "-o", tmp, "github.com/hashicorp/consul")
	cmd.Dir = module
	cmd.Env = append(cmd.Env, "GOFLAGS=-mod=readonly", "GOWORK=off")
	if err := runShown(cmd, "building Consul", out); err != nil {
		return fmt.Errorf("build Consul: %w", err)
	}
	return os.Rename(tmp, path)
}

// runShown runs a build and shows for how long and how many lines (packages) it
// got to; the last lines are the error when it fails.
func runShown(cmd *exec.Cmd, what string, out Output) error {
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(reader)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, reader) // a line too long for the scanner must not block the build
	}()
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Run()
		_ = writer.Close()
	}()
	start, count := time.Now(), 0
	var tail []string
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line, open := <-lines:
			if !open {
				return buildError(<-ended, tail)
			}
			count++
			tail = append(tail, line)
			tail = tail[max(0, len(tail)-3):]
		case <-tick.C:
			out.Progress(fmt.Sprintf("%s: %d steps, %s", what, count, time.Since(start).Round(time.Second)))
		}
	}
}

func buildError(err error, tail []string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", err, strings.Join(tail, "; "))
}

// consulModule finds tools/consul beside bin's folder, else above the current
// directory.
func consulModule(bin string) (string, error) {
	dirs := []string{filepath.Dir(bin)}
	if cwd, err := os.Getwd(); err == nil {
		for dir := cwd; ; dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	for _, dir := range dirs {
		module := filepath.Join(dir, "tools", "consul")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
	}
	return "", errors.New("no Consul here and no tools/consul to build it from; install Consul 1.15 or later, or pass --consul URL")
}

// clientConnections is how many connections Consul takes from one client IP:
// plenty, but half of the files it may open, or it refuses to start.
func clientConnections() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 400
	}
	return int(min(files.Max/2, 10_000))
}

// consulSpec plans the agent: a dev server, so that a restart comes back empty
// and at once, on the same ports.
func consulSpec(d dirs, path string, p *ports, httpPort int) (spec, error) {
	var internal [3]int
	for i := range internal {
		port, err := p.free()
		if err != nil {
			return spec{}, err
		}
		internal[i] = port
	}
	config := map[string]any{
		"ports": map[string]int{
			"http": httpPort, "server": internal[0], "serf_lan": internal[1], "serf_wan": internal[2],
			"dns": -1, "grpc": -1, "grpc_tls": -1, "https": -1,
		},
		// Every blocked query of every instance is a connection of this one client IP.
		"limits":                  map[string]any{"http_max_conns_per_client": clientConnections()},
		"performance":             map[string]any{"raft_multiplier": 1},
		"check_update_interval":   "1s",
		"disable_update_check":    true,
		"leave_on_terminate":      false,
		"skip_leave_on_interrupt": true,
		"node_name":               "kitmesh",
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return spec{}, err
	}
	file := d.config("consul.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return spec{}, fmt.Errorf("write Consul's configuration: %w", err)
	}
	return spec{
		name: "consul", path: path,
		args: []string{"agent", "-dev", "-ui", "-bind=" + host, "-client=" + host, "-log-level=warn", "-config-file=" + file},
	}, nil
}
