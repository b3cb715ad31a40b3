package mesh_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
)

// stockRandom balances as lb.Random does.
func stockRandom(_ *testing.T, _ int, _ bool, instances ...endpoint.Endpoint) endpoint.Endpoint {
	b := lb.NewRandom(sd.FixedEndpointer(instances), 1)
	return func(ctx context.Context, request any) (any, error) {
		e, err := b.Endpoint()
		if err != nil {
			return nil, err
		}
		return e(ctx, request)
	}
}

func TestTrapRandomIsARace(t *testing.T) {
	trap[balanced]{"concurrent picks do not race", picksDoNotRace, ourBalanced, stockRandom}.run(t)
}

// picksDoNotRace picks in a process of its own: the race detector lets no test
// pass in which it saw something.
func picksDoNotRace(t *testing.T, stack balanced) string {
	if os.Getenv("MESH_TEST_RACE") == "" {
		side := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		child := exec.CommandContext(t.Context(), raceBinary(t),
			"-test.v", "-test.run=^TestTrapRandomIsARace$/^concurrent_picks_do_not_race$/^"+side+"$")
		child.Env = append(os.Environ(), "MESH_TEST_RACE=1")
		out, err := child.CombinedOutput()
		if !strings.Contains(string(out), "picked") {
			t.Fatalf("the child picked nothing: %v\n%s", err, out)
		}
		if strings.Contains(string(out), "WARNING: DATA RACE") {
			return "data race between concurrent picks"
		}
		return ""
	}
	e := stack(t, 1, true, ok, ok, ok)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				_, _ = e(t.Context(), nil)
			}
		})
	}
	all.Wait()
	t.Log("picked")
	return ""
}

// raceBinary returns this test built with the race detector: itself, if it is.
func raceBinary(t *testing.T) string {
	t.Helper()
	if info, known := debug.ReadBuildInfo(); known && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return os.Args[0]
	}
	file := filepath.Join(t.TempDir(), "race.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-race", "-c", "-o", file, ".").CombinedOutput()
	if text := string(out); strings.Contains(text, "-race requires cgo") || strings.Contains(text, "-race is only supported") {
		t.Skip("the race detector does not work here: ", text)
	}
	if err != nil {
		t.Fatalf("building with the race detector: %v\n%s", err, out)
	}
	return file
}
