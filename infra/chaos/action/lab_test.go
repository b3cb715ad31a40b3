package action

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

var aCatalog = Target{Service: "catalog"}

// status returns the one name that has a status, "" if none, and fails if many.
func (f *fakeFleet) status(t *testing.T, want string) string {
	t.Helper()
	state, _ := f.State(t.Context())
	found := ""
	for _, i := range state.Instances {
		if i.Status == want {
			if found != "" {
				t.Fatalf("%s and %s are %s", found, i.ID, want)
			}
			found = i.ID
		}
	}
	return found
}

func TestPauseAndResume(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	r := begin(t, l, Spec{Action: "pause", Target: "victim"}, aCatalog)
	if f.status(t, "paused") == "" {
		t.Fatal("nobody is paused")
	}
	for range 2 {
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.status(t, "paused"); got != "" {
		t.Fatalf("%s is still paused", got)
	}
	if n := len(l.log.pending()); n != 0 {
		t.Fatalf("%d changes are left in the log", n)
	}
}

func TestFaultsAreGivenBackAsTheyWere(t *testing.T) {
	f := newFake()
	before := runner.Faults{ErrorRate: 0.1, Code: "limited"}
	for _, n := range []string{"catalog-1", "catalog-2", "catalog-3"} {
		f.faults[n] = before
	}
	l, _ := openLab(t, f)
	all := Target{Service: "catalog", Select: "ALL"}
	slow := begin(t, l, Spec{Action: "slow", Target: "all", Latency: time.Second}, all)
	fail := begin(t, l, Spec{Action: "fail", Target: "all", Rate: 0.5}, all)
	if got, want := f.faults["catalog-2"], (runner.Faults{Latency: "1s", ErrorRate: 0.5}); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	// In the order that is not the reverse: what the other set stays.
	if err := slow.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := f.faults["catalog-2"], (runner.Faults{ErrorRate: 0.5}); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	if err := fail.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.faults["catalog-1"] != before || f.faults["catalog-3"] != before {
		t.Fatalf("%+v, want %+v", f.faults, before)
	}
}

func TestMinHealthyIsRefused(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	guarded := Target{Service: "catalog", MinHealthy: 2}
	begin(t, l, Spec{Action: "pause", Target: "victim"}, guarded)
	_, err := l.Start(t.Context(), Spec{Action: "kill", Target: "victim"}, guarded, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "min-healthy") {
		t.Fatalf("%v, want min-healthy", err)
	}
	for _, did := range f.did {
		if strings.HasSuffix(did, " 9") {
			t.Fatalf("refused, and yet: %s", did)
		}
	}
}

func TestOneExperimentAtATime(t *testing.T) {
	f := newFake()
	l, dir := openLab(t, f)
	_, err := Open(f, dir)
	busy, ok := errors.AsType[*Busy](err)
	if !ok || busy.PID != os.Getpid() || time.Since(busy.Since) > time.Minute {
		t.Fatalf("%v, want Busy with this process", err)
	}
	if _, err := Heal(t.Context(), f, dir); err == nil {
		t.Fatal("healed under a running experiment")
	}
	if Holder(dir) != os.Getpid() {
		t.Fatalf("holder %d", Holder(dir))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if Holder(dir) != 0 {
		t.Fatalf("holder %d of a lock that is free", Holder(dir))
	}
}

// abandon leaves a lab as kill -9 does: its lock is gone, nothing is undone.
func abandon(l *Lab) {
	for _, r := range l.running {
		r.halt()
	}
	l.lock.Release()
}

func TestHealAfterTheEndOfTheTool(t *testing.T) {
	f := newFake()
	l, dir := openLab(t, f)
	begin(t, l, Spec{Action: "pause", Target: "v"}, aCatalog)
	begin(t, l, Spec{Action: "slow", Target: "v", Latency: time.Second}, Target{Service: "catalog", Select: "ALL"})
	begin(t, l, Spec{Action: "kill", Target: "v", RestartAfter: time.Hour}, Target{Part: "consul"})
	abandon(l)
	if _, err := Open(f, dir); !errors.Is(err, ErrUnhealed) {
		t.Fatalf("%v, want ErrUnhealed", err)
	}

	f.fail["restart consul"] = errors.New("not now")
	if _, err := Heal(t.Context(), f, dir); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Fatalf("%v, want what failed", err)
	}
	if f.status(t, "paused") != "" || !same(f.faults["catalog-3"], runner.Faults{}) {
		t.Fatalf("the failure of one undo kept the others: %+v %+v", f.state, f.faults)
	}
	delete(f.fail, "restart consul")
	did, err := Heal(t.Context(), f, dir)
	if err != nil || len(did) != 1 || did[0] != "consul runs again" {
		t.Fatalf("%q %v, want consul alone: the rest is done", did, err)
	}
	if did, err := Heal(t.Context(), f, dir); err != nil || len(did) != 0 {
		t.Fatalf("%q %v, want nothing", did, err)
	}
	again, err := Open(f, dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func TestKillEverySoOften(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	r := begin(t, l, Spec{Action: "kill", Target: "v", Every: 80 * time.Millisecond}, aCatalog)
	deadline := time.Now().Add(5 * time.Second)
	killed := map[string]bool{}
	for len(killed) < 3 && time.Now().Before(deadline) {
		f.mu.Lock()
		for _, did := range f.did {
			killed[did] = true
		}
		f.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if len(killed) != 3 {
		t.Fatalf("%v, want each instance in its turn", killed)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.status(t, "restarting"); got != "" {
		t.Fatalf("%s is not back", got)
	}
}

func TestForUndoesEarlier(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	begin(t, l, Spec{Action: "pause", Target: "v", For: 30 * time.Millisecond}, aCatalog)
	deadline := time.Now().Add(5 * time.Second)
	for f.status(t, "paused") != "" {
		if time.Now().After(deadline) {
			t.Fatal("it is still paused")
		}
		time.Sleep(time.Millisecond)
	}
}

// slowFleet takes its time to resume somebody.
type slowFleet struct {
	*fakeFleet
	begun, goOn chan struct{}
}

func (f *slowFleet) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	if sig == syscall.SIGCONT {
		f.begun <- struct{}{}
		select {
		case <-f.goOn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.fakeFleet.Signal(ctx, name, sig)
}

func TestStopWaitsForAnUndoing(t *testing.T) {
	f := &slowFleet{newFake(), make(chan struct{}, 2), make(chan struct{})}
	l, _ := openLab(t, f)
	notes := make(chan Note, 10)
	r, err := l.Start(t.Context(), Spec{Action: "pause", Target: "v", For: time.Millisecond}, aCatalog, 1, func(n Note) { notes <- n })
	if err != nil {
		t.Fatal(err)
	}
	<-f.begun
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(t.Context()) }()
	<-r.life.Done()
	close(f.goOn)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	close(notes)
	for n := range notes {
		if n.Err != nil {
			t.Errorf("%+v", n)
		}
	}
}

func TestNothingWithoutALog(t *testing.T) {
	f := newFake()
	l, _ := openLab(t, f)
	_ = l.log.file.Close()
	if _, err := l.Start(t.Context(), Spec{Action: "pause", Target: "v"}, aCatalog, 1, nil); err == nil {
		t.Fatal("paused without a way back")
	}
	if f.status(t, "paused") != "" {
		t.Fatal("paused all the same")
	}
}

func TestSameSeedSameVictims(t *testing.T) {
	pick := func(seed uint64) string {
		f := newFake()
		l, _ := openLab(t, f)
		if _, err := l.Start(t.Context(), Spec{Action: "pause", Target: "v"}, aCatalog, seed, nil); err != nil {
			t.Fatal(err)
		}
		return f.status(t, "paused")
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		first := pick(seed)
		if again := pick(seed); again != first {
			t.Fatalf("seed %d: %s, then %s", seed, first, again)
		}
		seen[first] = true
	}
	if len(seen) != 3 {
		t.Fatalf("20 seeds pick only %v", seen)
	}
}

// What was done to a mesh is not undone to the next one of its name.
func TestAnotherMeshIsLeftAlone(t *testing.T) {
	f := newFake()
	f.state.Control = "http://127.0.0.1:1"
	l, dir := openLab(t, f)
	begin(t, l, Spec{Action: "scale", Target: "v", Instances: 5}, aCatalog)
	abandon(l)
	next := newFake()
	next.state.Control = "http://127.0.0.1:2"
	next.state.Instances = next.state.Instances[:1]
	if did, err := Heal(t.Context(), next, dir); err != nil || len(did) > 0 || len(next.did) > 0 {
		t.Fatalf("%q %v %q, want nothing", did, err, next.did)
	}
	again, err := Open(next, dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}
