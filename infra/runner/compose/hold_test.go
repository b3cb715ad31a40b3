package compose

import (
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func TestHoldNeedsTheSupervisor(t *testing.T) {
	e := stack()
	holder, ok := open(t, e).(runner.Holder)
	if !ok {
		t.Fatal("the fleet is no runner.Holder")
	}
	err := holder.Hold(t.Context(), "catalog-1", syscall.SIGKILL, 30*time.Second)
	if err == nil || !strings.Contains(err.Error(), "supervisor does not run") || len(e.asked) > 0 {
		t.Errorf("err = %v, asked %q", err, e.asked)
	}
}

// TestHold follows one wish through both ends: the tool that writes it and the
// supervisor that obeys and then forgets it.
func TestHold(t *testing.T) {
	e := stack()
	e.containers = append(e.containers, fakeContainer{service: "supervisor", number: 1, state: "running", project: Project})
	fleet, ok := open(t, e).(*Fleet)
	if !ok {
		t.Fatal("not a *Fleet")
	}
	if err := fleet.Hold(t.Context(), "catalog-1", syscall.SIGKILL, 29500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	want := `update catalog-1 {"Name":"on-failure","MaximumRetryCount":30}, kill catalog-1 signal=9`
	if got := strings.Join(e.asked, ", "); got != want {
		t.Fatalf("asked %q, want %q", got, want)
	}

	e.asked = nil
	id := fakeContainer{service: "catalog", number: 1}.id()
	died := time.Now()
	marks := fates{id: {name: "catalog-1", at: died.Add(restartAfter)}}
	log := slog.New(slog.DiscardHandler)
	fleet.revive(t.Context(), id, marks, log)
	if at, _ := marks.next(); !at.Equal(died.Add(30*time.Second)) || len(e.asked) > 0 {
		t.Fatalf("to be started %v after its end, asked %q", at.Sub(died), e.asked)
	}
	fleet.revive(t.Context(), id, marks, log)
	want = `update catalog-1 {"Name":"unless-stopped","MaximumRetryCount":0}, start catalog-1`
	if got := strings.Join(e.asked, ", "); got != want || len(marks) > 0 {
		t.Errorf("asked %q, want %q; left %v", got, want, marks)
	}
}

// TestReviveOfTheRemoved gives up at once on what is not there any more.
func TestReviveOfTheRemoved(t *testing.T) {
	e := stack()
	fleet, ok := open(t, e).(*Fleet)
	if !ok {
		t.Fatal("not a *Fleet")
	}
	marks := fates{"gone": {name: "catalog-3", at: time.Now()}}
	fleet.revive(t.Context(), "gone", marks, slog.New(slog.DiscardHandler))
	if len(marks) > 0 {
		t.Errorf("left %v", marks)
	}
}
