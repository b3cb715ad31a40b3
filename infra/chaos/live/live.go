// Package live shows an experiment while it runs: as a picture on a terminal, in
// plain lines elsewhere.
package live

import (
	"io"
	"os"
	"sync"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// View is a chaos.View. Its methods may be called from any goroutine.
type View struct {
	mu    sync.Mutex
	lines *lines // where nobody watches

	program *tea.Program
	ended   chan struct{}
}

var _ chaos.View = (*View)(nil)

// New shows a run of e on out until Close: drawn if out is a terminal, which
// TERM=dumb denies, and in lines otherwise. It reads no keys, so that Ctrl-C
// stays a signal to the process.
func New(out io.Writer, e chaos.Experiment) *View {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return &View{lines: newLines(out, e)}
	}
	v := &View{
		program: tea.NewProgram(newModel(e), tea.WithOutput(f), tea.WithInput(nil), tea.WithoutSignalHandler()),
		ended:   make(chan struct{}),
	}
	go func() {
		defer close(v.ended)
		_, _ = v.program.Run() // without a picture the experiment goes on
	}()
	return v
}

// show hands something to the picture, or to the lines.
func (v *View) show(msg tea.Msg) {
	if v.program != nil {
		v.program.Send(msg)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines.take(msg)
}

// What the two kinds of view take.
type (
	sayMsg    string
	phaseMsg  chaos.Phase
	secondMsg chaos.Second
	eventMsg  chaos.Event
	closeMsg  struct{}
)

// Say tells what is waited for.
func (v *View) Say(text string) { v.show(sayMsg(text)) }

// Phase begins a phase.
func (v *View) Phase(p chaos.Phase) { v.show(phaseMsg(p)) }

// Second adds a second that is over.
func (v *View) Second(s chaos.Second) { v.show(secondMsg(s)) }

// Event adds an event.
func (v *View) Event(e chaos.Event) { v.show(eventMsg(e)) }

// Close wipes the picture, gives the terminal back and returns then. What the
// run came to is others' to print.
func (v *View) Close() {
	if v.program != nil {
		v.program.Send(closeMsg{})
		<-v.ended
	}
}
