package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// report is a finished run.
type report struct {
	settings
	begun      time.Time
	loadBefore string
	rows       []row
	sizes      []size
}

// load is what the machine had to do over the last minute, where it tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// cpu is the name of the processor, where it tells.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // elsewhere there is none
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// write prints the tables and the bench lines, and the Markdown file if asked.
func (r report) write(out io.Writer) error {
	var page strings.Builder
	r.tables(&page)
	if r.markdown != "" {
		if err := os.WriteFile(r.markdown, []byte(r.introduction()+page.String()), 0o644); err != nil {
			return fmt.Errorf("the tables: %w", err)
		}
	}
	fmt.Fprintf(out, "%s\n", page.String())
	r.lines(out)
	return nil
}

func (r report) introduction() string {
	note := ""
	if r.note != "" {
		note = "\n" + r.note + "\n"
	}
	return fmt.Sprintf(`# Benchmarks

Written by `+"`cd bench && go run . -markdown ../docs/benchmarks.md`"+` on %s: %s,
%d CPUs, %s/%s, %s, grpc %s. Load over the minute before: %s (1.00 is one busy CPU).
%s
Callers are one process, each of the three servers is another, on loopback;
every call of catalog.Get has a deadline of 1 s. A pair is one slice of a
contender and one of raw gRPC, in turns; %d pairs of %s slices each, all
contenders interleaved. "x raw" is the median of the paired ratios, with the
quartiles behind it; allocations and CPU time are those of the callers' process.
Tracing is at 1 %% where nothing else is said; spans go to a process that drops
them, those of Kratos and go-zero are dropped before they are sent. The pair of
sidecars of the issue is not measured yet.

`, r.begun.UTC().Format("2006-01-02 15:04 UTC"), cpu(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), grpc.Version, r.loadBefore, note, r.pairs, r.slice)
}

func (r report) tables(w io.Writer) {
	for _, n := range callers {
		fmt.Fprintf(w, "| %s | x raw | quartiles | µs per call | caller's CPU x raw | all CPU x raw | allocs over raw | KiB per call | errors |\n", plural(n, "caller"))
		fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
		if raw := r.rowsOf(n); len(raw) > 0 {
			base := raw[0]
			fmt.Fprintf(w, "| raw gRPC, round robin | 1.00 | | %.1f | 1.00 | 1.00 | 0 (of %.0f) | %.1f | |\n",
				median(base.of(func(p pair) float64 { return p.raw.wall }))/1e3,
				median(base.of(func(p pair) float64 { return p.raw.allocs })),
				median(base.of(func(p pair) float64 { return p.raw.bytes }))/1024)
		}
		for _, row := range r.rowsOf(n) {
			errs := 0
			for _, p := range row.pairs {
				errs += p.other.errs
			}
			x := row.of(xWall)
			fmt.Fprintf(w, "| %s | %.2f | %.2f-%.2f | %.1f | %.2f | %.2f | %+.0f | %.1f | %d |\n", row.what,
				median(x), quantile(x, 0.25), quantile(x, 0.75),
				median(row.of(func(p pair) float64 { return p.other.wall }))/1e3,
				median(row.of(xCPU)), median(row.of(xAll)), median(row.of(allocs)),
				median(row.of(func(p pair) float64 { return p.other.bytes }))/1024, errs)
		}
		fmt.Fprintln(w)
	}
	if len(r.sizes) == 0 {
		return
	}
	fmt.Fprintln(w, "| instances | pick and book, ns | update, µs | bytes per instance |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, s := range r.sizes {
		fmt.Fprintf(w, "| %d | %.0f | %.0f | %.0f |\n", s.instances, median(s.picks), s.update/1e3, s.bytes)
	}
	fmt.Fprint(w, `
"Pick and book" is all that Target.Do does around a try: choosing, breaker,
budget, counters. An update is the time from one instance more or less in the
source to the target having it. Bytes are of the snapshot and the target
together, without a connection, which is made when an instance is first picked.
`)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r report) rowsOf(callers int) []row {
	var out []row
	for _, row := range r.rows {
		if row.callers == callers {
			out = append(out, row)
		}
	}
	return out
}

// lines are for programs. Without a suffix a ratio is that of 32 callers.
func (r report) lines(w io.Writer) {
	line := func(name string, value float64, unit string) {
		fmt.Fprintf(w, "bench: %s %.4g %s\n", name, value, unit)
	}
	for _, row := range r.rowsOf(1) {
		line(row.name+"_1caller", median(row.of(xWall)), "xraw")
		line(row.name+"_1caller_cpu", median(row.of(xCPU)), "xraw")
		line(row.name+"_1caller_cpu_all", median(row.of(xAll)), "xraw")
		line(row.name+"_1caller_allocs", median(row.of(allocs)), "allocs")
	}
	for _, row := range r.rowsOf(32) {
		line(row.name, median(row.of(xWall)), "xraw")
		line(row.name+"_cpu", median(row.of(xCPU)), "xraw")
		line(row.name+"_cpu_all", median(row.of(xAll)), "xraw")
		line(row.name+"_allocs", median(row.of(allocs)), "allocs")
	}
	if len(r.sizes) > 0 {
		for _, s := range r.sizes {
			line(fmt.Sprintf("update_%d", s.instances), s.update/1e3, "us")
		}
		line("pick_10000_over_3", median(xPick(r.sizes)), "x")
		line("instance_bytes", r.sizes[len(r.sizes)-1].bytes, "B")
	}
}
