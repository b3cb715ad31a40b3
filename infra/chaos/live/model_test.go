package live

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: look at it, then go test ./infra/chaos/live -update\n%s", name, got)
	}
}

func experiment() chaos.Experiment {
	return chaos.Experiment{Name: "pause-one", Title: "Pause one catalog instance", Load: chaos.Load{
		Warmup: 5 * time.Second, Baseline: 15 * time.Second, Duration: 20 * time.Second, Recovery: 10 * time.Second,
	}}
}

// play tells all that happens until second s of a run.
func play(until int, show func(tea.Msg)) {
	show(sayMsg("the mesh settles"))
	for s := range until {
		for _, p := range newModel(experiment()).phases {
			if p.From == float64(s) {
				show(eventMsg{At: p.From, Kind: "phase", Name: p.Name})
				show(phaseMsg(p))
			}
		}
		if s == 20 {
			show(eventMsg{At: 20.1, Kind: "action", Name: "pause", Target: "catalog-2", Text: "SIGSTOP"})
		}
		if s == 40 {
			show(eventMsg{At: 40, Kind: "heal", Name: "resume", Target: "catalog-2", Error: "no such process"})
		}
		second := chaos.Second{At: float64(s), Requests: 240, P50: 11, P99: 14, Max: 20}
		if s >= 20 && s < 23 {
			second.Failed, second.P99 = int64(23-s), 90-20*float64(s-20)
		}
		show(secondMsg(second))
	}
}

func picture(m *model, width, height int) string {
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return m.View().Content
}

var style = regexp.MustCompile("\x1b\\[[0-9;]*m")

func plain(s string) string { return style.ReplaceAllString(s, "") }

func TestPicture(t *testing.T) {
	var b bytes.Buffer
	for _, at := range []int{0, 12, 30, 50} {
		m := newModel(experiment())
		play(at, func(msg tea.Msg) { m.Update(msg) })
		fmt.Fprintf(&b, "--- after %d s\n%s\n", at, plain(picture(m, 80, 24)))
	}
	golden(t, "picture.txt", b.String())
}

// However small the terminal is, nothing is wider or higher.
func TestPictureFits(t *testing.T) {
	m := newModel(experiment())
	play(45, func(msg tea.Msg) { m.Update(msg) })
	for _, width := range []int{1, 10, 24, 37, 80, 200} {
		for _, height := range []int{2, 5, 50} {
			rows := strings.Split(picture(m, width, height), "\n")
			if len(rows) >= height {
				t.Errorf("%d rows on a terminal of %d", len(rows), height)
			}
			for _, row := range rows {
				if w := lipgloss.Width(row); w > width {
					t.Errorf("%d columns wide on a terminal of %d: %q", w, width, row)
				}
			}
		}
	}
}

// One failure in a second is to be seen, and the plots share the axis.
func TestSparks(t *testing.T) {
	m := newModel(experiment())
	play(50, func(msg tea.Msg) { m.Update(msg) })
	if got, want := plain(m.success(50)), strings.Repeat("█", 20)+"▅▆▆"+strings.Repeat("█", 27); got != want {
		t.Errorf("success of 50 s in 50 columns:\n%s, want\n%s", got, want)
	}
	if got, want := plain(m.p99(25)), strings.Repeat("▂", 10)+"█▅"+strings.Repeat("▂", 13); got != want {
		t.Errorf("p99 of 50 s in 25 columns:\n%s, want\n%s", got, want)
	}
	if got := strings.IndexRune(plain(m.ticks(50)), '▾'); got != 20 {
		t.Errorf("the action is marked at column %d, want 20", got)
	}
}

// A run that has not begun, or that lasts no time, has a picture.
func TestPictureOfNothing(t *testing.T) {
	for _, e := range []chaos.Experiment{{}, experiment()} {
		m := newModel(e)
		if picture(m, 80, 24) == "" {
			t.Error("there is no picture")
		}
		m.Update(secondMsg{At: 1e6})
		picture(m, 80, 24)
	}
}

// What a mesh says cannot command the terminal.
func TestEscapesAreInert(t *testing.T) {
	m := newModel(chaos.Experiment{Name: "x\x1b]0;evil\a", Load: experiment().Load})
	m.Update(eventMsg{Name: "kill", Text: "\x1b[2J\r\n\u009b2J"})
	m.Update(sayMsg("\x1b[31m"))
	if got := plain(picture(m, 80, 24)); strings.ContainsAny(got, "\x1b\a\r\u009b") {
		t.Errorf("%q", got)
	}
	var b bytes.Buffer
	v := New(&b, experiment())
	v.Event(chaos.Event{Name: "kill", Error: "\x1b[2J"})
	v.Say("\x1b[2J")
	v.Close()
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	v := New(&b, experiment())
	play(50, func(msg tea.Msg) { v.show(msg) })
	v.Close()
	golden(t, "lines.txt", b.String())
}
