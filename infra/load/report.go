package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Latency is in milliseconds from the intended start of a request.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// Stats are the numbers of one op or of the whole run. The embedded Latency
// covers every request, failures at the moment they failed; Served leaves the
// failures out, Failed is theirs alone.
type Stats struct {
	Requests        int64            `json:"requests"`
	Success         float64          `json:"success"`            // 0 to 1; business outcomes are successes
	Failures        map[string]int64 `json:"failures"`           // by problem code, or connect, reset, timeout, not_sent, malformed
	Business        map[string]int64 `json:"business,omitempty"` // conflict (sold out), declined
	Late            int64            `json:"late"`               // sent after their time: the generator's own failing
	Partial         int64            `json:"partial"`            // pages that said something is missing
	Orders          int64            `json:"orders"`             // acknowledged
	Pending         int64            `json:"pending"`            // of Orders, not yet confirmed when acknowledged
	TriesPerRequest float64          `json:"tries_per_request"`  // instances the edge asked
	Latency
	Served Latency  `json:"served"`
	Failed *Latency `json:"failed,omitempty"`
}

// Result is what a run came to.
type Result struct {
	Stats
	FailureBound float64          `json:"failure_bound,omitempty"` // after 0 failures: 95 % sure that fewer fail (3/n)
	Duration     float64          `json:"duration_s"`              // of the schedule, without the warm-up
	Rate         float64          `json:"rate"`                    // asked for
	Sent         float64          `json:"sent_per_second"`         // achieved
	Seed         uint64           `json:"seed"`
	Stopped      bool             `json:"stopped,omitempty"` // ended by a signal
	ByOp         map[string]Stats `json:"by_op"`
	Verification *Verification    `json:"verification,omitempty"`
}

// MaxLate is the share of late requests above which a run says more about the
// generator than about the shop.
const MaxLate = 0.001

// Inconclusive reports whether too many requests were sent late.
func (r Result) Inconclusive() bool {
	return r.Requests > 0 && float64(r.Late) > MaxLate*float64(r.Requests)
}

// Tick is the state of a run once a second: the second itself and the totals.
type Tick struct {
	Elapsed       time.Duration
	Warmup        bool
	Requests      int64 // answered in the last second
	Failed        int64
	P50, P99, Max float64 // milliseconds, of the last second
	InFlight      int
	TotalRequests int64
	TotalFailed   int64
	Orders        int64
	Late          int64
}

// String is the one line of live progress.
func (t Tick) String() string {
	phase := ""
	if t.Warmup {
		phase = " (warm-up)"
	}
	return fmt.Sprintf("%s%s  %d/s  %d failed  p50 %.1f ms  p99 %.1f ms  max %.0f ms  in flight %d  total %d (%d failed, %d orders)",
		t.Elapsed.Round(time.Second), phase, t.Requests, t.Failed, t.P50, t.P99, t.Max, t.InFlight,
		t.TotalRequests, t.TotalFailed, t.Orders)
}

// WriteText writes r for a person.
func (r Result) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\trequests\tsuccess\tpartial\ttries\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\t")
	row := func(name string, s Stats) {
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%.3f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, s.Requests,
			percent(s.Success), s.Partial, s.TriesPerRequest, s.P50, s.P90, s.P99, s.P999, s.Max)
	}
	for _, op := range slices.Sorted(maps.Keys(r.ByOp)) {
		row(op, r.ByOp[op])
	}
	row("all", r.Stats)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.remarks())
	return err
}

func (r Result) remarks() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f s at %g/s (sent %.1f/s), %d orders acknowledged", r.Duration, r.Rate, r.Sent, r.Orders)
	if r.Pending > 0 {
		fmt.Fprintf(&b, " (%d still pending then)", r.Pending)
	}
	fmt.Fprintf(&b, ", seed %d\n", r.Seed)
	if len(r.Failures) > 0 {
		fmt.Fprintf(&b, "failures: %s\n", list(r.Failures))
	}
	if len(r.Business) > 0 {
		fmt.Fprintf(&b, "not sold: %s\n", list(r.Business))
	}
	if r.FailureBound > 0 {
		fmt.Fprintf(&b, "no failure in %d requests: fewer than %.4f %% fail, with 95 %% confidence\n", r.Requests, 100*r.FailureBound)
	}
	if r.Inconclusive() {
		fmt.Fprintf(&b, "inconclusive: %d requests were sent late; lower the rate or give the generator more CPU\n", r.Late)
	}
	if r.Verification != nil {
		fmt.Fprintln(&b, r.Verification.String())
	}
	return b.String()
}

// percent never rounds a failure away.
func percent(x float64) string {
	text := fmt.Sprintf("%.3f %%", 100*x)
	if x < 1 && text == "100.000 %" {
		return "<100 %"
	}
	return text
}

func list(m map[string]int64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, m[code]))
	}
	return strings.Join(parts, ", ")
}
