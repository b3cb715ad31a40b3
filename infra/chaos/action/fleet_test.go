package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

// fakeFleet is a mesh in memory: three instances of catalog, and Consul.
type fakeFleet struct {
	mu     sync.Mutex
	state  runner.State
	faults map[string]runner.Faults
	did    []string
	fail   map[string]error // by what is asked, as "signal catalog-1"
}

func newFake() *fakeFleet {
	f := &fakeFleet{faults: map[string]runner.Faults{}, fail: map[string]error{}}
	for n := 1; n <= 3; n++ {
		f.state.Instances = append(f.state.Instances, runner.Instance{
			Service: "catalog", ID: fmt.Sprintf("catalog-%d", n), PID: 100 + n, Status: "running",
		})
	}
	f.state.Parts = []runner.Part{{Name: "consul", PID: 1, Status: "running"}}
	return f
}

func (f *fakeFleet) State(context.Context) (runner.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Instances, s.Parts = slices.Clone(s.Instances), slices.Clone(s.Parts)
	return s, nil
}

// note records what was asked and returns what shall go wrong with it.
func (f *fakeFleet) note(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	f.did = append(f.did, what)
	return f.fail[what]
}

func (f *fakeFleet) set(name, status string, pid int) {
	for i := range f.state.Instances {
		if in := &f.state.Instances[i]; in.ID == name {
			in.Status, in.PID = status, pid
		}
	}
	for i := range f.state.Parts {
		if p := &f.state.Parts[i]; p.Name == name {
			p.Status, p.PID = status, pid
		}
	}
}

func (f *fakeFleet) Signal(_ context.Context, name string, sig syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("signal %s %d", name, sig); err != nil {
		return err
	}
	switch sig {
	case syscall.SIGSTOP:
		f.set(name, "paused", 100)
	case syscall.SIGCONT:
		f.set(name, "running", 100)
	default:
		f.set(name, "restarting", 0)
		time.AfterFunc(50*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.set(name, "running", 200)
			delete(f.faults, name)
		})
	}
	return nil
}

func (f *fakeFleet) Hold(_ context.Context, name string, sig syscall.Signal, d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("hold %s %d %s", name, sig, d); err != nil {
		return err
	}
	f.set(name, "stopped", 0)
	return nil
}

func (f *fakeFleet) Restart(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("restart %s", name); err != nil {
		return err
	}
	f.set(name, "running", 300)
	return nil
}

func (f *fakeFleet) Scale(_ context.Context, service string, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("scale %s %d", service, n); err != nil {
		return err
	}
	f.state.Instances = f.state.Instances[:0]
	for i := 1; i <= n; i++ {
		f.state.Instances = append(f.state.Instances, runner.Instance{
			Service: service, ID: fmt.Sprintf("%s-%d", service, i), PID: 100 + i, Status: "running",
		})
	}
	return nil
}

func (f *fakeFleet) Faults(_ context.Context, name string, faults runner.Faults) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("faults %s", name); err != nil {
		return err
	}
	f.faults[name] = faults
	return nil
}

func (f *fakeFleet) FaultsOf(_ context.Context, name string) (runner.Faults, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults[name], f.fail["faults of "+name]
}

func (f *fakeFleet) Logs(context.Context, string, bool, io.Writer) error {
	return errors.New("no logs")
}

func openLab(t *testing.T, fleet runner.Fleet) (*Lab, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := Open(fleet, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, dir
}

func begin(t *testing.T, l *Lab, s Spec, target Target) *Running {
	t.Helper()
	r, err := l.Start(t.Context(), s, target, 1, func(n Note) { t.Logf("%+v", n) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}
