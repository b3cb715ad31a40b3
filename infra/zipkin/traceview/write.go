package traceview

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Style says how a tree looks. The zero value is plain text of any width.
type Style struct {
	Colour bool
	Width  int // columns of the terminal; 0: no bound
}

const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	yellow = "33"
)

// paint wraps text in a colour. The text is freed of what would act on a
// terminal: it comes from whoever reports spans.
func (s Style) paint(code, text string) string {
	text = printable(text)
	if !s.Colour || text == "" || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// printable replaces control characters by spaces.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
}

// colours of services; which one a service has depends on its name alone.
var colours = [...]string{"1;36", "1;34", "1;35", "1;32", "1;33", "1;96", "1;94", "1;95"}

func (s Style) service(name string) string {
	var n uint32
	for _, c := range []byte(name) {
		n = n*31 + uint32(c)
	}
	return s.paint(colours[n%uint32(len(colours))], name)
}

// line is a row of the tree before the columns are as wide as they must be.
type line struct {
	call   *Call
	branch string
	lead   string // of what hangs below the call
	wide   int    // columns of branch, service and name
}

// barWidth is how many columns the time line has.
const barWidth = 24

// maxTree bounds the column of the tree, so that deep traces leave room.
const maxTree = 64

// Write writes a trace as a tree: a headline, and per call its service and
// name, how long it took and when, its instance and try, and what went wrong.
func Write(w io.Writer, spans []Span, link string, style Style) error {
	s := Summarise(spans)
	var b strings.Builder
	style.headline(&b, s, link)
	lines := flatten(Calls(spans))
	wide := 0
	for _, l := range lines {
		wide = max(wide, min(l.wide, maxTree))
	}
	for _, l := range lines {
		style.row(&b, l, wide, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Style) headline(b *strings.Builder, t Summary, link string) {
	fmt.Fprintf(b, "%s %s  %s", s.service(t.Service), s.paint(bold, t.Name), s.paint(bold, took(t.Duration)))
	fmt.Fprintf(b, "  %s, %s", count(t.Spans, "span", "spans"), count(t.Services, "service", "services"))
	if t.Errors > 0 {
		fmt.Fprintf(b, ", %s", s.paint(red, "✕ "+count(t.Errors, "error", "errors")))
	}
	if t.Retries > 0 {
		fmt.Fprintf(b, ", %s", s.paint(yellow, "↻ "+count(t.Retries, "retry", "retries")))
	}
	b.WriteString("\n")
	when := "at an unknown time"
	if !t.Start.IsZero() {
		when = t.Start.Local().Format("2006-01-02 15:04:05.000")
	}
	fmt.Fprintf(b, "%s\n", s.paint(dim, fmt.Sprintf("%s  trace %s  %s", when, t.ID, link)))
	if !t.Complete {
		fmt.Fprintf(b, "%s\n", s.paint(yellow, "spans are missing: not reported yet, or their reporter died"))
	}
	b.WriteString("\n")
}

// flatten lists calls in the order of the tree, with the branches before each.
func flatten(roots []*Call) []line {
	type item struct {
		call         *Call
		lead, branch string
	}
	var stack []item
	push := func(calls []*Call, lead string, root bool) {
		for i, c := range slices.Backward(calls) {
			switch {
			case root:
				stack = append(stack, item{c, "", ""})
			case i == len(calls)-1:
				stack = append(stack, item{c, lead + "   ", lead + "└─ "})
			default:
				stack = append(stack, item{c, lead + "│  ", lead + "├─ "})
			}
		}
	}
	push(roots, "", true)
	var lines []line
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		branch := at.branch
		if n := utf8.RuneCountInString(branch); n > maxTree/2 { // very deep: show that, not all of it
			branch = fmt.Sprintf("%4d ┆ ", n/3)
		}
		wide := utf8.RuneCountInString(branch + at.call.Service + " " + at.call.Name)
		lines = append(lines, line{at.call, branch, at.lead, wide})
		push(at.call.Children, at.lead, false)
	}
	return lines
}

func (s Style) row(b *strings.Builder, l line, wide int, t Summary) {
	c := l.call
	name := c.Name
	if over := l.wide - wide; over > 0 {
		runes := []rune(name)
		name = string(runes[:max(0, len(runes)-over-1)]) + "…"
	}
	pad := max(0, wide-utf8.RuneCountInString(l.branch+c.Service+" "+name))
	b.WriteString(s.paint(dim, l.branch))
	if c.Failed {
		b.WriteString(s.paint(red, c.Service+" "+name))
	} else {
		b.WriteString(s.service(c.Service) + " " + printable(name))
	}
	fmt.Fprintf(b, "%*s  %9s  %s", pad, "", took(c.Duration), s.paint(barColour(c), bar(c, t)))
	s.notes(b, l, wide+2+9+2+barWidth)
	b.WriteString("\n")
}

// notes writes what there is to say of a call behind its bar, or below it what
// does not fit there.
func (s Style) notes(b *strings.Builder, l line, used int) {
	below := l.lead + "   "
	if len(l.call.Children) > 0 {
		below = l.lead + "│  "
	}
	for _, n := range notes(l.call) {
		size := 2 + utf8.RuneCountInString(n.text)
		if s.Width == 0 || used+size <= s.Width {
			used += size
			b.WriteString("  " + s.paint(n.code, n.text))
			continue
		}
		used = utf8.RuneCountInString(below) + utf8.RuneCountInString(n.text)
		b.WriteString("\n" + s.paint(dim, below) + s.paint(n.code, cut(n.text, s.Width-utf8.RuneCountInString(below))))
	}
}

func barColour(c *Call) string {
	if c.Failed {
		return red
	}
	return "36"
}

type note struct{ code, text string }

// notes are the words behind a call's bar, the most important first.
func notes(c *Call) []note {
	var list []note
	add := func(code, text string) {
		if text != "" {
			list = append(list, note{code, text})
		}
	}
	add(dim, c.Instance)
	if c.Try != "" && c.Try != "1" {
		add(yellow, "↻ try "+c.Try)
	}
	if c.Breaker != "" && c.Breaker != "closed" {
		add(yellow, "breaker "+c.Breaker)
	}
	switch c.Kind {
	case "PRODUCER":
		add(dim, "sends")
	case "CONSUMER":
		add(dim, "receives")
	}
	if c.Failed {
		text := "✕ " + c.Error
		if c.Error == "" {
			text = "✕ failed"
		}
		add(red, text)
	}
	return list
}

// bar draws when in the trace a call ran.
func bar(c *Call, t Summary) string {
	if c.Start == 0 || t.Duration <= 0 {
		return strings.Repeat(" ", barWidth)
	}
	at := func(d time.Duration) int { return int(int64(d) * barWidth / int64(t.Duration)) }
	from := min(at(time.UnixMicro(c.Start).Sub(t.Start)), barWidth-1)
	to := min(max(from+1, at(time.UnixMicro(c.Start).Add(c.Duration).Sub(t.Start))), barWidth)
	full := "━"
	if c.Failed {
		full = "╳"
	}
	return strings.Repeat("·", from) + strings.Repeat(full, to-from) + strings.Repeat("·", barWidth-to)
}

// cut shortens text to n columns, and to no less than a few.
func cut(text string, n int) string {
	n = max(n, 12)
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

// took writes a duration with three digits.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return digits(d.Seconds()) + " s"
	}
	return digits(d.Minutes()) + " min"
}

func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
