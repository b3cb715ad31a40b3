package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// narrator says on stderr what long work does: on a terminal the progress is
// one line that is written over, elsewhere a plain line now and then.
type narrator struct {
	mu   sync.Mutex
	w    io.Writer
	fd   int // of the terminal; -1 if there is none
	live bool
	said time.Time
	last string
}

// plainEvery is the pause between two lines of progress where nobody watches.
const plainEvery = 5 * time.Second

func newNarrator(w io.Writer) *narrator {
	n := &narrator{w: w, fd: -1, said: time.Now().Add(time.Second - plainEvery)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		n.fd = int(f.Fd())
	}
	return n
}

// Line says something that stays.
func (n *narrator) Line(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wipe()
	fmt.Fprintln(n.w, text)
}

// Progress says something that the next word replaces.
func (n *narrator) Progress(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fd < 0 {
		if text != n.last && time.Since(n.said) >= plainEvery {
			n.said, n.last = time.Now(), text
			fmt.Fprintln(n.w, text)
		}
		return
	}
	if n.live && text == n.last {
		return
	}
	n.wipe()
	n.last = text
	width, _, err := term.GetSize(n.fd)
	if err != nil || width < 2 {
		width = 80
	}
	if runes := []rune(text); len(runes) >= width {
		text = string(runes[:width-1])
	}
	fmt.Fprint(n.w, text)
	n.live = true
}

// Done clears the line of progress.
func (n *narrator) Done() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wipe()
}

// wipe clears the line of progress; it needs the lock.
func (n *narrator) wipe() {
	if n.live {
		fmt.Fprint(n.w, "\r\033[K")
		n.live = false
	}
}
