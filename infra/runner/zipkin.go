package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// The Zipkin server that is fetched: version and checksum belong together.
const (
	zipkinVersion = "3.5.1"
	zipkinSHA256  = "7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d"
	zipkinJar     = "zipkin-server-" + zipkinVersion + "-exec.jar"
)

// zipkinMode is who collects the traces.
type zipkinMode int

const (
	zipkinElsewhere zipkinMode = iota // one that runs already
	zipkinReal                        // the server of the Zipkin project, on Java
	zipkinEmbedded                    // kitmesh zipkin
)

// chooseZipkin follows --zipkin: auto, embedded or a URL. auto is the real
// server where it can run; why says which and, if need be, why not the other.
func chooseZipkin(ctx context.Context, choice, mark, keep string) (mode zipkinMode, t zipkinTools, why string) {
	switch choice {
	case "auto":
		t, ok := findZipkinTools(ctx, mark, keep)
		if ok {
			return zipkinReal, t, "traces: Zipkin " + zipkinVersion
		}
		return zipkinEmbedded, t, "traces: the embedded collector, since Zipkin " + zipkinVersion + " needs Java 17 or later and Maven"
	case "embedded":
		return zipkinEmbedded, t, "traces: the embedded collector"
	}
	return zipkinElsewhere, t, "traces: Zipkin at " + choice
}

// zipkinTools are the programs the real server needs.
type zipkinTools struct{ java, mvn string }

// findZipkinTools reports whether Zipkin can run here. Maven is not needed when
// the jar is there already.
func findZipkinTools(ctx context.Context, mark, keep string) (zipkinTools, bool) {
	var t zipkinTools
	var err error
	if t.java, err = exec.LookPath("java"); err != nil || !javaRecent(ctx, mark, t.java) {
		return t, false
	}
	if t.mvn, err = exec.LookPath("mvn"); err == nil {
		return t, true
	}
	_, err = os.Stat(filepath.Join(keep, zipkinJar))
	return t, err == nil
}

var javaVersionLine = regexp.MustCompile(`version "(\d+)`)

// javaRecent says whether the program is Java 17 or later.
func javaRecent(ctx context.Context, mark, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := toolCommand(ctx, mark, path, "-version").CombinedOutput()
	m := javaVersionLine.FindSubmatch(text)
	if err != nil || m == nil {
		return false
	}
	major, _ := strconv.Atoi(string(m[1]))
	return major >= 17
}

// fetchZipkin returns the path of the server's jar, fetched from Maven Central
// if it is not there yet. A jar that is not the pinned one is refused.
func fetchZipkin(ctx context.Context, t zipkinTools, keep, mark string, out Output) (string, error) {
	jar := filepath.Join(keep, zipkinJar)
	if _, err := os.Stat(jar); err == nil {
		return jar, nil // checked when it was put there
	}
	lock, err := waitLock(ctx, filepath.Join(keep, ".zipkin.lock"), 10*time.Minute)
	if err != nil {
		return "", fmt.Errorf("wait for another fetch of Zipkin: %w", err)
	}
	defer lock.release()
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	out.Line(fmt.Sprintf("fetching Zipkin %s once (125 MB) into %s; the mesh does not wait for it", zipkinVersion, keep))
	tmp, err := os.MkdirTemp(keep, ".zipkin-*")
	if err != nil {
		return "", fmt.Errorf("fetch Zipkin: %w", err)
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := toolCommand(ctx, mark, t.mvn, "-q", "-B", "dependency:copy",
		"-Dartifact=io.zipkin:zipkin-server:"+zipkinVersion+":jar:exec", "-DoutputDirectory="+tmp)
	cmd.Dir = tmp // no pom.xml of somebody's project
	if err := runShown(cmd, "fetching Zipkin", out); err != nil {
		return "", fmt.Errorf("fetch Zipkin: %w", err)
	}
	fetched := filepath.Join(tmp, zipkinJar)
	if err := checkSum(fetched, zipkinSHA256); err != nil {
		return "", fmt.Errorf("fetch Zipkin: %w", err)
	}
	return jar, os.Rename(fetched, jar)
}

// checkSum compares a file's SHA-256 with the wanted one.
func checkSum(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return errors.New(filepath.Base(file) + " has the checksum " + got + ", not the pinned " + want)
	}
	return nil
}

// zipkinSpec plans the server: small, in memory, on loopback only, and behind
// everything else for the processor, since its start is the heaviest of all.
func zipkinSpec(java, jar string, port int) spec {
	return spec{
		name: "zipkin", path: java, nice: 10, grace: 3 * time.Second,
		args: []string{
			"-Xms32m", "-Xmx256m", "-Xss512k", "-XX:MaxMetaspaceSize=128m", "-XX:ReservedCodeCacheSize=48m",
			"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
			"-jar", jar,
			"--armeria.ports[0].ip=" + host,
			"--armeria.ports[0].port=" + strconv.Itoa(port),
			"--armeria.ports[0].protocols[0]=http",
			"--logging.level.root=WARN",
		},
		env: []string{"QUERY_PORT=" + strconv.Itoa(port), "STORAGE_TYPE=mem", "MEM_MAX_SPANS=60000"},
	}
}
