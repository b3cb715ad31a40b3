package meshtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/load"
)

// row is one fault on one stack.
type row struct {
	fault, stack          string
	before, during, after load.Result
	tries                 float64 // per call of the hurt service, hedges included
	hedges                float64 // per call
	share                 float64 // of the victim, from 1 s after the fault on
	triesJudged           bool
}

// The goals.
const (
	goalP99   = 2.0 // times the p99 before
	goalTries = 1.02
	goalShare = 0.02
)

// whole is the share of the customers who got all of what they asked for: a page
// without its price is an answer, but not a success.
func whole(r load.Result) float64 {
	if r.Requests == 0 {
		return 0
	}
	return r.Success - float64(r.Partial)/float64(r.Requests)
}

func (r row) stretch() float64 { return r.during.P99 / r.before.P99 }

// conclusive reports whether the run says something about the shop: the machine
// kept up, and all was well before the fault.
func (r row) conclusive() bool {
	return !r.before.Inconclusive() && !r.during.Inconclusive() && whole(r.before) == 1
}

type goal struct {
	name string
	held bool
}

func (r row) judged() []goal {
	goals := []goal{
		{"success", whole(r.during) == 1},
		{"p99", r.stretch() <= goalP99},
	}
	if r.triesJudged {
		// Hedges answer slowness, not failures, and have a share of their own.
		goals = append(goals, goal{"tries", r.tries-r.hedges <= goalTries})
	}
	return append(goals, goal{"victim", r.share <= goalShare})
}

// held reports whether the run shows every goal.
func (r row) held() bool {
	for _, g := range r.judged() {
		if !g.held {
			return false
		}
	}
	return r.conclusive()
}

func (r row) goals() string {
	var parts []string
	for _, g := range r.judged() {
		verdict := "pass"
		if !g.held {
			verdict = "**miss**"
		}
		parts = append(parts, g.name+" "+verdict)
	}
	if !r.conclusive() {
		parts = append(parts, fmt.Sprintf("inconclusive: %d and %d requests late, %s whole before",
			r.before.Late, r.during.Late, percent(whole(r.before))))
	}
	return strings.Join(parts, ", ")
}

// String is the row in Markdown.
func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %d | %s | %.0f / %.0f | %.0f / %.0f | %.1f | %.0f | %.3f (%.3f) | %s | %s | %s |",
		r.fault, r.stack, r.during.Requests, percent(whole(r.during)), r.before.P50, r.before.P99, r.during.P50, r.during.P99,
		r.stretch(), r.during.Max, r.tries, r.hedges, percent(r.share), percent(whole(r.after)), r.goals())
}

// percent never rounds a failure away.
func percent(x float64) string {
	text := fmt.Sprintf("%.2f %%", 100*x)
	if x < 1 && text == "100.00 %" {
		return "<100 %"
	}
	return text
}

const tableHead = `| one of three | stack | pages | whole pages | before, p50 / p99 ms | during, p50 / p99 ms | p99 × | max ms | tries (hedges among them) per call | victim's share | whole after | goals |
|---|---|---|---|---|---|---|---|---|---|---|---|
`

func table(rows []row) string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, r := range rows {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// page is docs/faults.md.
func page(rows []row, phase time.Duration) string {
	return fmt.Sprintf(`# One bad instance of three

Written by `+"`make test-faults ARGS=-update`"+` on %s: %s, %d CPUs, %s/%s, %s.

The same shop twice: on the mesh, and with `+"`--stack stock`"+` on what go-kit's own
examples build (`+"`cmd/internal/stock`"+` names the example behind each choice). One
instance of pricing is hurt for %v under an open loop of %.0f pages a second, %.0f %% of
the capacity of three instances with %v of work on %d workers each; as long before,
as long after. A page without its price counts as a failure. The victim's share of the
tries is counted from one second after the fault on.

Goals: every page whole, p99 at most %g times that before, the victim at most %s;
half-failing at most %g tries per call.

%s`, time.Now().UTC().Format("2006-01-02 15:04 UTC"), processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		phase, faultRate(), 100*faultLoad, faultWork, faultWorkers, goalP99, percent(goalShare), goalTries, table(rows))
}

// processor names the CPU where Linux tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a CPU that does not say its name"
}
