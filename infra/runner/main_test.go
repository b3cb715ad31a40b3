package runner

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The test program is its own stand-in for children: with this variable it
// plays a role instead of running tests.
const roleEnv = "KITMESH_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		play(role)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role string) {
	// Whatever goes wrong in a test, no stand-in outlives it for long.
	time.AfterFunc(2*time.Minute, func() { os.Exit(3) })
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	note(os.Getenv("KITMESH_TEST_STARTS"), time.Now().Format(time.RFC3339Nano))
	switch role {
	case "serve":
		<-term
		note(os.Getenv("KITMESH_TEST_ENDS"), os.Getenv("KITMESH_TEST_NAME"))
	case "die":
		os.Exit(1)
	case "stubborn":
		note(os.Getenv("KITMESH_TEST_READY"), "ready")
		for range term {
		}
	case "lock":
		_, err := takeLock(os.Args[1])
		fmt.Println("locked", err == nil)
		<-term
	case "supervise":
		superviseUntilKilled(os.Args[1])
	}
}

// superviseUntilKilled starts three children and waits for kill -9.
func superviseUntilKilled(root string) {
	d := dirs{root: root}
	lock, err := takeLock(d.lock())
	if err != nil {
		os.Exit(4)
	}
	defer lock.release()
	s := newSupervisor(d, State{Name: "test"}, nil)
	for _, sp := range []spec{standIn("catalog-1", "serve"), standIn("broker", "serve"), standIn("consul", "serve")} {
		sp.grace = 300 * time.Millisecond
		if err := s.start(sp); err != nil {
			os.Exit(5)
		}
	}
	select {}
}

// note adds a line to a file shared by several processes.
func note(file, line string) {
	if file == "" {
		return
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// standIn plans a child that plays a role.
func standIn(name, role string, env ...string) spec {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return spec{name: name, path: exe, env: append([]string{roleEnv + "=" + role, "KITMESH_TEST_NAME=" + name}, env...)}
}

// startRole starts a stand-in that nobody supervises; it is gone after the test.
func startRole(t *testing.T, role string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func testDirs(t *testing.T) dirs {
	t.Helper()
	d := dirs{root: filepath.Join(t.TempDir(), "mesh")}
	if err := d.make(); err != nil {
		t.Fatal(err)
	}
	return d
}

// testSupervisor is stopped, with everything it started, after the test.
func testSupervisor(t *testing.T) *Supervisor {
	t.Helper()
	s := newSupervisor(testDirs(t), State{Name: "test"}, func(line string) { t.Log(line) })
	t.Cleanup(s.Stop)
	return s
}

// eventually waits for something another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// runningPID waits until the child runs and returns its process.
func runningPID(t *testing.T, s *Supervisor, name string) process {
	t.Helper()
	var p process
	eventually(t, name+" runs", func() bool {
		r, err := loadRecord(s.dirs)
		if err != nil {
			return false
		}
		p, err = r.find(name)
		return err == nil && p.alive()
	})
	return p
}
