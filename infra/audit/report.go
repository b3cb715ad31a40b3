package audit

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Report is the verdict of an audit.
type Report struct {
	Violations int     `json:"violations"`
	Orders     int     `json:"orders"` // judged
	Checks     []Check `json:"checks"`
}

// Check is the verdict of one check.
type Check struct {
	Name       string      `json:"name"`
	About      string      `json:"about"`             // what must hold, in a sentence
	Checked    int         `json:"checked"`           // how many things were looked at
	Skipped    string      `json:"skipped,omitempty"` // why the check, or a part of it, was not made
	Violations []Violation `json:"violations"`
}

// Violation is one thing that is not as it must be.
type Violation struct {
	Keys     []string `json:"keys"` // idempotency key, order, SKU or reference: whatever names it
	TraceID  string   `json:"trace_id,omitempty"`
	Expected string   `json:"expected"`
	Found    string   `json:"found"`
}

// String is the violation as a sentence.
func (v Violation) String() string {
	trace := ""
	if v.TraceID != "" {
		trace = ", trace " + v.TraceID
	}
	return fmt.Sprintf("%s: expected %s, found %s (%s%s)", v.Keys[0], v.Expected, v.Found, strings.Join(v.Keys, ", "), trace)
}

// Held reports whether no check found a violation.
func (r Report) Held() bool { return r.Violations == 0 }

// maxShown bounds the violations of one check that a person is shown.
const maxShown = 20

// WriteText writes r for a person: a line per check, then the violations.
func (r Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, c := range r.Checks {
		verdict := "ok"
		switch {
		case len(c.Violations) > 0:
			verdict = "VIOLATED " + fmt.Sprint(len(c.Violations)) + "×"
		case c.Checked == 0 && c.Skipped != "":
			verdict = "skipped"
		}
		about := c.About
		if c.Skipped != "" {
			about += " (" + c.Skipped + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%d checked\t%s\n", c.Name, verdict, c.Checked, about)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.Checks {
		for i, v := range c.Violations {
			if i == maxShown {
				fmt.Fprintf(w, "%s: and %d more; -o json lists all\n", c.Name, len(c.Violations)-maxShown)
				break
			}
			fmt.Fprintf(w, "%s: %s\n", c.Name, v)
		}
	}
	_, err := fmt.Fprintf(w, "%d orders, %d violations\n", r.Orders, r.Violations)
	return err
}
