package live

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"
)

// terminal returns both ends of a pseudo terminal.
func terminal(t *testing.T, width, height uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// screen is what was written to a terminal.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
}

func (s *screen) read(f *os.File) {
	defer close(s.done)
	chunk := make([]byte, 4096)
	for {
		n, err := f.Read(chunk) // fails when the other end closes
		s.mu.Lock()
		s.text.Write(chunk[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the terminal shows a text.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(s.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing says %q: %q", text, s.String())
		}
	}
}

// onTerminal plays a run on a terminal and returns what was written to it.
func onTerminal(t *testing.T) string {
	t.Helper()
	ours, theirs := terminal(t, 90, 24)
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if before.Lflag&unix.ISIG == 0 {
		t.Error("Ctrl-C is no signal on a new terminal")
	}
	screen := &screen{done: make(chan struct{})}
	go screen.read(ours)
	v := New(theirs, experiment())
	if v.program == nil {
		t.Fatal("a terminal gets plain lines")
	}
	play(30, v.show)
	screen.await(t, "p99 of the worst second 90.0 ms")
	during, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil || during.Lflag&unix.ISIG == 0 {
		t.Errorf("Ctrl-C is no signal while the picture is drawn (%v)", err)
	}
	if err := unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 40, Row: 24}); err != nil {
		t.Fatal(err)
	}
	v.program.Send(tea.WindowSizeMsg{Width: 40, Height: 24}) // the signal goes to whose terminal it is
	v.Say("all is narrow")
	screen.await(t, "all is narrow")
	v.Close()
	if after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %+v, was %+v (%v)", after, before, err)
	}
	theirs.Close()
	select {
	case <-screen.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the terminal does not close")
	}
	return screen.String()
}

func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	got := onTerminal(t)
	for _, want := range []string{"pause-one", "success", "█", "\x1b[33m"} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing says %q: %q", want, got)
		}
	}
	if hidden, shown := strings.LastIndex(got, "\x1b[?25l"), strings.LastIndex(got, "\x1b[?25h"); hidden >= 0 && shown < hidden {
		t.Error("the cursor stays hidden")
	}
}

func TestTerminalWithoutColour(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "1")
	if got := onTerminal(t); !strings.Contains(got, "success") || strings.Contains(got, "\x1b[33m") || strings.Contains(got, "\x1b[31m") {
		t.Errorf("NO_COLOR has colours: %q", got)
	}
}

func TestDumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	_, theirs := terminal(t, 80, 24)
	v := New(theirs, experiment())
	defer v.Close()
	if v.program != nil {
		t.Error("TERM=dumb gets a picture")
	}
}
