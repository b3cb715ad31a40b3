package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func mustStart(t *testing.T, s *Supervisor, specs ...spec) {
	t.Helper()
	for _, sp := range specs {
		if err := s.start(sp); err != nil {
			t.Fatal(err)
		}
	}
}

func restartsOf(s *Supervisor, name string) int {
	for _, p := range s.snapshot().Parts {
		if p.Name == name {
			return p.Restarts
		}
	}
	return -1
}

func TestKilledChildComesBack(t *testing.T) {
	s := testSupervisor(t)
	mustStart(t, s, standIn("broker", "serve"))
	first := runningPID(t, s, "broker")
	if err := first.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	eventually(t, "a successor runs", func() bool {
		r, err := loadRecord(s.dirs)
		if err != nil {
			return false
		}
		p, err := r.find("broker")
		return err == nil && p.pid != first.pid && p.alive()
	})
	if wait := time.Since(killed); wait < 150*time.Millisecond {
		t.Errorf("it came back after %s, before any back-off", wait)
	}
	if n := restartsOf(s, "broker"); n != 1 {
		t.Errorf("restarts = %d, want 1", n)
	}
}

func TestCrashLoopSlowsDown(t *testing.T) {
	s := testSupervisor(t)
	file := filepath.Join(t.TempDir(), "starts")
	mustStart(t, s, standIn("broker", "die", "KITMESH_TEST_STARTS="+file))
	var starts []time.Time
	eventually(t, "four starts", func() bool {
		data, _ := os.ReadFile(file)
		starts = nil
		for line := range strings.Lines(string(data)) {
			if at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(line)); err == nil {
				starts = append(starts, at)
			}
		}
		return len(starts) >= 4
	})
	first, third := starts[1].Sub(starts[0]), starts[3].Sub(starts[2])
	if first < 190*time.Millisecond || third < 750*time.Millisecond {
		t.Errorf("pauses %s and %s; want about 250 ms, then about 1 s", first, third)
	}
}

func TestChildThatKeepsDyingGetsNewPorts(t *testing.T) {
	s := testSupervisor(t)
	sp := standIn("catalog-1", "die")
	sp.service, sp.rpc = "catalog", "old"
	sp.renew = func(s *spec) error {
		s.rpc = "new"
		return nil
	}
	mustStart(t, s, sp)
	eventually(t, "new ports", func() bool { return s.snapshot().Instances[0].RPC == "new" })
	if n := s.snapshot().Instances[0].Restarts; n < 2 {
		t.Errorf("new ports after %d restarts; a single death is no reason", n)
	}
}

func TestStopAsksCallersFirstAndConsulLast(t *testing.T) {
	s := testSupervisor(t)
	ends := filepath.Join(t.TempDir(), "ends")
	want := []string{"load", "edge", "catalog-1", "broker", "consul"}
	for _, name := range want {
		sp := standIn(name, "serve", "KITMESH_TEST_ENDS="+ends)
		if name == "catalog-1" {
			sp.service = "catalog"
		}
		ready := filepath.Join(t.TempDir(), "ready")
		sp.env = append(sp.env, "KITMESH_TEST_STARTS="+ready)
		mustStart(t, s, sp)
		eventually(t, name+" listens for signals", func() bool { _, err := os.Stat(ready); return err == nil })
	}
	s.Stop()
	data, err := os.ReadFile(ends)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(data)); !slices.Equal(got, want) {
		t.Errorf("ended in the order %v, want %v", got, want)
	}
	if err := s.start(standIn("late", "serve")); err == nil {
		t.Error("a child was started after Stop")
	}
}

func TestChildThatIgnoresTermIsKilled(t *testing.T) {
	s := testSupervisor(t)
	ready := filepath.Join(t.TempDir(), "ready")
	sp := standIn("broker", "stubborn", "KITMESH_TEST_READY="+ready)
	sp.grace = 200 * time.Millisecond
	mustStart(t, s, sp)
	p := runningPID(t, s, "broker")
	eventually(t, "it ignores SIGTERM", func() bool { _, err := os.Stat(ready); return err == nil })
	start := time.Now()
	s.Stop()
	if took := time.Since(start); took < sp.grace || took > 10*time.Second {
		t.Errorf("Stop took %s with a grace of %s", took, sp.grace)
	}
	if p.alive() {
		t.Error("it still runs")
	}
}

func TestHurryEndsTheWaiting(t *testing.T) {
	s := testSupervisor(t)
	ready := filepath.Join(t.TempDir(), "ready")
	mustStart(t, s, standIn("broker", "stubborn", "KITMESH_TEST_READY="+ready))
	eventually(t, "it ignores SIGTERM", func() bool { _, err := os.Stat(ready); return err == nil })
	start := time.Now()
	s.Hurry()
	s.Stop()
	if took := time.Since(start); took > drain/2 {
		t.Errorf("Stop took %s in a hurry", took)
	}
}

func TestPausedChildStops(t *testing.T) {
	s := testSupervisor(t)
	mustStart(t, s, standIn("broker", "serve"))
	p := runningPID(t, s, "broker")
	if err := p.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	local := &Local{dirs: s.dirs}
	eventually(t, "status paused", func() bool {
		state, err := local.State(t.Context())
		return err == nil && slices.ContainsFunc(state.Parts, func(p Part) bool {
			return p.Name == "broker" && p.Status == statusPaused && p.RSSBytes > 0
		})
	})
	start := time.Now()
	s.Stop()
	if p.alive() || time.Since(start) > drain/2 {
		t.Errorf("alive: %v after %s", p.alive(), time.Since(start))
	}
}

func TestHoldKeepsItDownUntilRestart(t *testing.T) {
	s := testSupervisor(t)
	mustStart(t, s, standIn("consul", "serve"))
	p := runningPID(t, s, "consul")
	if err := s.Hold(t.Context(), "consul", syscall.SIGKILL, time.Hour); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("Hold returned before the process ended")
	}
	if status := s.snapshot().Parts[0].Status; status != statusStopped {
		t.Errorf("status %q, want stopped", status)
	}
	if err := s.Restart(t.Context(), "consul"); err != nil {
		t.Fatal(err)
	}
	if next := runningPID(t, s, "consul"); next.pid == p.pid {
		t.Error("the same process runs")
	}
	if err := s.Hold(t.Context(), "consul", syscall.SIGKILL, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	runningPID(t, s, "consul")
}

func TestRestartOfUnknownName(t *testing.T) {
	s := testSupervisor(t)
	if err := s.Restart(t.Context(), "nobody"); !errors.Is(err, errUnknownName) {
		t.Errorf("error %v, want errUnknownName", err)
	}
}

func TestScaleUpAndDown(t *testing.T) {
	s := testSupervisor(t)
	s.makeInstance = func(service string, n int) (spec, error) {
		sp := standIn(instanceID(service, n), "serve")
		sp.service = service
		return sp, nil
	}
	names := func() []string {
		var got []string
		for _, i := range s.snapshot().Instances {
			got = append(got, i.ID)
		}
		return got
	}
	for _, c := range []struct {
		n    int
		want []string
	}{
		{2, []string{"orders-1", "orders-2"}},
		{11, nil},
		{3, []string{"orders-1", "orders-2", "orders-3"}},
		{0, nil},
	} {
		if err := s.Scale(t.Context(), "orders", c.n); err != nil {
			t.Fatal(err)
		}
		if got := names(); len(got) != c.n || c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("after Scale(%d): %v", c.n, got)
		}
	}
	if s.Scale(t.Context(), "orders", -1) == nil || s.Scale(t.Context(), "orders", maxInstances+1) == nil || s.Scale(t.Context(), "cart", 1) == nil {
		t.Error("Scale took a bad number or an unknown service")
	}
}

func TestSupervisorKilledAndCleanedUp(t *testing.T) {
	for _, c := range []struct {
		name      string
		loseState bool
	}{{"by its state", false}, {"by the mark of the children alone", true}} {
		t.Run(c.name, func(t *testing.T) {
			d := testDirs(t)
			cmd := startRole(t, "supervise", nil, d.root)
			var left []process
			eventually(t, "three children run", func() bool {
				r, err := loadRecord(d)
				if err != nil {
					return false
				}
				left = nil
				for _, tier := range r.processes() {
					left = append(left, living(tier)...)
				}
				return len(left) == 3
			})
			if _, err := takeLock(d.lock()); !errors.Is(err, errLocked) {
				t.Fatalf("a second supervisor could take the lock: %v", err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if c.loseState {
				if len(marked(d.mark())) != 3 {
					t.Skip("this system does not show other processes' environment")
				}
				if err := os.Remove(d.state()); err != nil {
					t.Fatal(err)
				}
			}
			lock, err := waitLock(context.Background(), d.lock(), 5*time.Second)
			if err != nil {
				t.Fatalf("the dead supervisor's lock: %v", err)
			}
			defer lock.release()
			if n := sweep(d); n != 3 {
				t.Errorf("sweep ended %d processes, want 3", n)
			}
			if alive := living(left); len(alive) > 0 {
				t.Errorf("still running: %v", alive)
			}
			if _, err := os.Stat(d.state()); err == nil {
				t.Error("state.json is still there")
			}
		})
	}
}

func TestRecycledPIDIsNeverHit(t *testing.T) {
	innocent := startRole(t, "serve", nil)
	id, _, err := identify(innocent.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	d := testDirs(t)
	r := record{State: State{Parts: []Part{{Name: "broker", PID: innocent.Process.Pid, Status: statusRunning}}}}
	r.Identity = map[string]string{"broker": id + "0"} // another start time: the pid changed hands
	if err := r.save(d); err != nil {
		t.Fatal(err)
	}
	if n := sweep(d); n != 0 {
		t.Errorf("sweep ended %d processes", n)
	}
	stranger := process{name: "broker", pid: innocent.Process.Pid, identity: id + "0"}
	if err := stranger.signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v, want ErrProcessDone", err)
	}
	known := process{name: "broker", pid: innocent.Process.Pid, identity: id}
	if !known.alive() {
		t.Fatal("the innocent process was hit")
	}
	if err := known.signal(syscall.SIGKILL); err != nil { // the check can fail
		t.Fatal(err)
	}
	_ = innocent.Wait()
	if known.alive() {
		t.Error("signal did not reach the right process")
	}
}
