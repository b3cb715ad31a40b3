package live

import (
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// plainEvery is how many seconds one line of progress is about, and the pause
// between two words on what is waited for.
const plainEvery = 5

// lines tells a run in lines: one for each event, and one every five seconds.
type lines struct {
	out   io.Writer
	name  string
	end   time.Duration
	phase string
	said  string
	when  time.Time // of said
	sum   sum       // of the seconds since the last line
}

func newLines(out io.Writer, e chaos.Experiment) *lines {
	return &lines{out: out, name: e.Name, end: e.Load.Lasts()}
}

func (l *lines) take(msg tea.Msg) {
	switch msg := msg.(type) {
	case sayMsg:
		if text := string(msg); text != l.said && time.Since(l.when) >= plainEvery*time.Second {
			l.said, l.when = text, time.Now()
			l.line("%s", printable(text))
		}
	case phaseMsg:
		l.progress()
		l.phase = msg.Name
		l.line("%s begins, for %.0f s", msg.Name, msg.To-msg.From)
	case secondMsg:
		l.sum.add(chaos.Second(msg))
		if l.sum.seconds >= plainEvery {
			l.progress()
		}
	case eventMsg:
		if msg.Kind != "phase" { // those have their own line
			l.line("%s", describe(chaos.Event(msg)))
		}
	}
}

// progress tells what was seen since the last line of its kind.
func (l *lines) progress() {
	if s := l.sum; s.seconds > 0 {
		l.line("%s of %s  %s  %.0f/s  %s  p99 up to %s", clock(s.at+1), clock(l.end.Seconds()), l.phase,
			float64(s.requests)/float64(s.seconds), s.outcome(), millis(s.p99))
	}
	l.sum = sum{}
}

func (l *lines) line(format string, args ...any) {
	fmt.Fprintln(l.out, l.name+": "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// sum is what some seconds came to.
type sum struct {
	seconds          int
	at               float64 // of the last one
	requests, failed int64
	p99              float64 // of the worst second
}

func (s *sum) add(second chaos.Second) {
	s.seconds++
	s.at = second.At
	s.requests, s.failed = s.requests+second.Requests, s.failed+second.Failed
	s.p99 = max(s.p99, second.P99)
}

// outcome is the success, and the number of failures if there are any.
func (s *sum) outcome() string {
	switch {
	case s.requests == 0:
		return "nothing answered"
	case s.failed == 0:
		return "100 %"
	}
	return fmt.Sprintf("%s, %d failed", percent(s.requests, s.failed), s.failed)
}

// percent is rounded down: with a failure it is never 100 %.
func percent(requests, failed int64) string {
	if failed == 0 {
		return "100.000 %"
	}
	thousandths := 100_000 * (requests - failed) / requests
	return fmt.Sprintf("%d.%03d %%", thousandths/1000, thousandths%1000)
}

func millis(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.2f s", x/1000)
	}
	return fmt.Sprintf("%.1f ms", x)
}

func clock(seconds float64) string {
	s := int(seconds + 0.5)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// describe is an event in a line. What it quotes cannot command the terminal.
func describe(e chaos.Event) string {
	words := []string{clock(e.At), e.Name}
	for _, w := range []string{e.Target, e.Text} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.Error != "" {
		words = append(words, "failed:", e.Error)
	}
	return printable(strings.Join(words, " "))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
