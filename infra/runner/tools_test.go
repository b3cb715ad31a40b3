package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quiet is an Output that remembers what stays.
type quiet struct{ lines []string }

func (q *quiet) Line(text string) { q.lines = append(q.lines, text) }
func (q *quiet) Progress(string)  {}

// script writes a program that prints a text.
func script(t *testing.T, dir, name, prints string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	body := "#!/bin/sh\necho '" + prints + "'\n"
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

func TestChooseConsul(t *testing.T) {
	bin := t.TempDir()
	beside := script(t, bin, "consul", "unused")
	for _, c := range []struct{ name, choice, version, want string }{
		{"recent on PATH", "auto", "Consul v1.22.3", "PATH"},
		{"oldest taken", "auto", "Consul v1.15.0", "PATH"},
		{"too old on PATH", "auto", "Consul v1.14.9", beside},
		{"something else on PATH", "auto", "consultant 9", beside},
		{"a program", beside, "Consul v1.22.3", beside},
	} {
		t.Run(c.name, func(t *testing.T) {
			onPath := script(t, t.TempDir(), "consul", c.version)
			t.Setenv("PATH", filepath.Dir(onPath)+":/usr/bin:/bin")
			got, err := chooseConsul(t.Context(), c.choice, bin, "X=Y", &quiet{})
			want := c.want
			if want == "PATH" {
				want = onPath
			}
			if err != nil || got.path != want {
				t.Errorf("chose %+v, %v; want %s", got, err, want)
			}
		})
	}
	got, err := chooseConsul(t.Context(), "http://127.0.0.1:1/", bin, "X=Y", &quiet{})
	if err != nil || got.url != "http://127.0.0.1:1" || got.path != "" {
		t.Errorf("URL: %+v, %v", got, err)
	}
	if _, err := chooseConsul(t.Context(), "/no/such/consul", bin, "X=Y", &quiet{}); err == nil {
		t.Error("a program that is not there was chosen")
	}
}

func TestNoConsulAndNoWayToBuildIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Chdir(t.TempDir())
	_, err := chooseConsul(t.Context(), "auto", t.TempDir(), "X=Y", &quiet{})
	if err == nil || !strings.Contains(err.Error(), "--consul URL") {
		t.Errorf("error %v does not say what to do", err)
	}
}

func TestConsulIsBuiltOnceWithProgress(t *testing.T) {
	repo := t.TempDir()
	bin := filepath.Join(repo, "bin")
	for _, dir := range []string{bin, filepath.Join(repo, "tools", "consul")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "tools", "consul", "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A stand-in for go: it "builds" what -o names, and counts its calls.
	calls := filepath.Join(repo, "calls")
	fake := "#!/bin/sh\necho x >>" + calls + "\nwhile [ \"$1\" != -o ]; do shift; done\nprintf '#!/bin/sh\\n' >$2\nchmod +x $2\necho built\n"
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "go"), []byte(fake), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":/usr/bin:/bin")
	var out quiet
	for range 2 {
		got, err := chooseConsul(t.Context(), "auto", bin, "X=Y", &out)
		if err != nil || got.path != filepath.Join(bin, "consul") {
			t.Fatalf("chose %+v, %v", got, err)
		}
	}
	if data, _ := os.ReadFile(calls); string(data) != "x\n" {
		t.Errorf("go was called %d times, want once", len(data)/2)
	}
	if len(out.lines) != 1 || !strings.Contains(out.lines[0], consulVersion) {
		t.Errorf("said %q", out.lines)
	}
}

func TestZipkinNeedsJava17(t *testing.T) {
	for version, want := range map[string]bool{`openjdk version "17.0.15"`: true, `java version "1.8.0_201"`: false, `openjdk version "21"`: true, "no": false} {
		java := script(t, t.TempDir(), "java", version)
		if got := javaRecent(t.Context(), "X=Y", java); got != want {
			t.Errorf("%s: %v, want %v", version, got, want)
		}
	}
}

func TestChooseZipkin(t *testing.T) {
	java := filepath.Dir(script(t, t.TempDir(), "java", `openjdk version "17.0.15"`))
	mvn := filepath.Dir(script(t, t.TempDir(), "mvn", "unused"))
	withJar := t.TempDir()
	if err := os.WriteFile(filepath.Join(withJar, zipkinJar), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, choice, path, keep string
		want                     zipkinMode
	}{
		{"all there", "auto", java + ":" + mvn, t.TempDir(), zipkinReal},
		{"no Java", "auto", mvn, withJar, zipkinEmbedded},
		{"no Maven", "auto", java, t.TempDir(), zipkinEmbedded},
		{"no Maven, but the jar", "auto", java, withJar, zipkinReal},
		{"as asked", "embedded", java + ":" + mvn, withJar, zipkinEmbedded},
		{"a URL", "http://zipkin:9411", java + ":" + mvn, withJar, zipkinElsewhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			if got, _, why := chooseZipkin(t.Context(), c.choice, "X=Y", c.keep); got != c.want {
				t.Errorf("chose %d (%s), want %d", got, why, c.want)
			}
		})
	}
}

func TestJarWithAnotherChecksumIsRefused(t *testing.T) {
	keep := t.TempDir()
	mvn := filepath.Join(t.TempDir(), "mvn")
	fake := "#!/bin/sh\nfor a; do case $a in -DoutputDirectory=*) echo evil >${a#*=}/" + zipkinJar + ";; esac; done\n"
	if err := os.WriteFile(mvn, []byte(fake), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	_, err := fetchZipkin(t.Context(), zipkinTools{mvn: mvn}, keep, "X=Y", &quiet{})
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("error %v, want a wrong checksum", err)
	}
	if _, err := os.Stat(filepath.Join(keep, zipkinJar)); err == nil {
		t.Error("the jar was kept")
	}
}

func TestUpWithoutProgramsSaysMakeBuild(t *testing.T) {
	t.Setenv("KITMESH_HOME", t.TempDir())
	err := Up(t.Context(), UpOptions{Name: "x", Out: &quiet{}, Zipkin: "embedded", Timeout: time.Second}, nil)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v does not say make build", err)
	}
}

func TestStubbornLeftoverIsKilled(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	cmd := startRole(t, "stubborn", []string{"KITMESH_TEST_READY=" + ready})
	eventually(t, "it ignores SIGTERM", func() bool { _, err := os.Stat(ready); return err == nil })
	id, _, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := process{name: "x", pid: cmd.Process.Pid, identity: id}
	endAll([]process{p}, 100*time.Millisecond)
	if p.alive() {
		t.Error("it still runs")
	}
}
