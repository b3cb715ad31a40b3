package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes a run for a person: the verdict, the hypothesis with what was
// measured, and what went wrong.
func (j Journal) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s (%s stack)\n\n", j.Name, j.Title, j.Stack)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  hypothesis\tmeasured\ttolerance\tA/A\t\t")
	for _, p := range j.Probes {
		fmt.Fprintf(t, "  %s: %s\t%s\t%s\t%s\t%s\t\n", p.Name, p.Says, p.Text, p.Tolerance, p.noise(), p.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range j.Probes {
		if p.Bound != "" {
			fmt.Fprintf(&b, "  %s: %s\n", p.Name, p.Bound)
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  phase\trequests\tsuccess\tpartial\ttries\tp50 ms\tp99 ms\tmax ms\tlate\t")
	for _, p := range j.Phases {
		s := p.Stats
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%.3f\t%.1f\t%.1f\t%.0f\t%d\t\n", p.Name, thousands(int(s.Requests)), percent(s.Success), s.Partial, s.Tries, s.P50, s.P99, s.Max, s.Late)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range j.Phases {
		if len(p.Stats.Failures) > 0 {
			fmt.Fprintf(&b, "  failures in the %s: %s\n", p.Name, counted(p.Stats.Failures))
		}
	}
	j.writeAudit(&b)
	for _, e := range j.Events {
		if e.Error != "" {
			fmt.Fprintf(&b, "  at %.1f s, %s %s: %s\n", e.At, e.Name, e.Target, e.Error)
		}
	}
	fmt.Fprintf(&b, "\nverdict: %s (%s)\n", j.Verdict, j.Why)
	_, err := fmt.Fprint(w, "\n", b.String())
	return err
}

func (j Journal) writeAudit(w io.Writer) {
	if j.Audit == nil {
		return
	}
	fmt.Fprintf(w, "  audit: %s in %s orders, %d checks\n", plural(j.Audit.Violations, "violation"), thousands(j.Audit.Orders), len(j.Audit.Checks))
	for _, s := range j.Audit.Skipped {
		fmt.Fprintf(w, "  audit, skipped: %s\n", s)
	}
	for _, f := range j.Audit.Findings {
		fmt.Fprintf(w, "  audit: %s\n", f)
	}
}

// noise is what two halves of the baseline said.
func (p ProbeResult) noise() string {
	if p.Noise == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g", p.Noise)
}

func (p ProbeResult) verdict() string {
	switch {
	case p.Error != "":
		return "not measured: " + p.Error
	case p.Held:
		return "held"
	}
	return "NOT HELD"
}

func counted(m map[string]int64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, m[code]))
	}
	return strings.Join(parts, ", ")
}

// WriteVerdicts writes a line for each of several runs.
func WriteVerdicts(w io.Writer, journals []Journal) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "experiment\tstack\tverdict\tin the fault\tp99 ms\taudit\twhy\t")
	for _, j := range journals {
		success, p99, checked := "", "", "not made"
		for _, p := range j.Phases {
			if p.Name == phaseFault {
				success, p99 = percent(p.Stats.Success)+" of "+thousands(int(p.Stats.Requests)), fmt.Sprintf("%.1f", p.Stats.P99)
			}
		}
		if j.Audit != nil {
			checked = plural(j.Audit.Violations, "violation")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", j.Name, j.Stack, j.Verdict, success, p99, checked, j.Why)
	}
	return t.Flush()
}
